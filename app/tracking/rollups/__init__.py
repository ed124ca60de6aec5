"""What was counted becomes answers: folding, reading now and as of any moment, rebuilding, upkeep."""
