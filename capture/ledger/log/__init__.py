"""The append-only log over everything that is recorded, which checkpoints sign."""
