"""Evidence about the log: its key, its checkpoints, and those who hold them for others."""
