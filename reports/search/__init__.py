"""Substring search over all that was said in calls."""
