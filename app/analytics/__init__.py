"""Answers drawn from rollups: trends, the summary, the dashboard's data and its stream. Reads only."""
