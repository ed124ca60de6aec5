"""Setup, status and update: the use cases that see a model as a whole."""
