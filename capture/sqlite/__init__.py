"""Django's engine for SQLite, made for a file that may be deleted or replaced while it is open."""
