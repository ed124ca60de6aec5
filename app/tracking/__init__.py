"""Predictions and labels in, joined, rolled up: the hot path.

One road for every form of input: `decode` → one columnar batch (`batch`) → `rules` → `prepare` → one transaction.
"""
