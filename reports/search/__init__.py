"""Substring search over the texts of calls."""
