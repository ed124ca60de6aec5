"""The pages: a static shell, and fragments that Jinja renders from the same services as the API's answers."""
