"""The rows of recorded calls: batches, rollups, spending and the purge of what was deleted."""
