"""Hostile input, as data: what attacked services of this kind, and what readers of JSON, HTTP and SQL trip over.

Lists only; `tests.hostile.cases` puts each entry in every place of every operation where it fits.
"""
