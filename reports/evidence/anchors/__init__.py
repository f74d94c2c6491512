"""Places outside the database that hold checkpoints: files, git, witnesses, authorities."""
