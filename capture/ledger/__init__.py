"""How recorded calls become rows: batches, rollups, spend, purge."""
