"""Sinks follow the ledger, each with a cursor of its own: the search index is one."""
