"""Sinks follow the ledger, each with its own cursor: the search index is one."""
