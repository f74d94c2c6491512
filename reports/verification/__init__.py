"""Verifies that everything that is stored is what the log says was recorded."""
