"""The model registry: models, versions, aliases, states and the table of legal moves."""
