"""Predictions and labels in, joined, rolled up: the hot path.

One road for every form of input: `decoding` (a body → one checked, columnar batch) → `storing` (→ one durable
transaction: rows, block, delta) → `rollups` (deltas → answers). The rooms don't know each other; what they hand on
stands beside them: `batch`, `checked`, `arrival`, `block`, `counting`, `ledger`. All SQL is in `repository`.
"""
