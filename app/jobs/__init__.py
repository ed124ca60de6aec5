"""The job engine: enqueue in a caller's transaction, follow, cancel; workers run what slices offer."""
