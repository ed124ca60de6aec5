"""Simulated proof of what app.stats promises: one registry of checks, run small by the tests and in full on demand."""
