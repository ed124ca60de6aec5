"""Who may do what: users, tokens, API keys, limits, and the one table role → scopes."""
