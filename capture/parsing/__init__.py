"""Parsing: an exchange becomes a parsed call."""
