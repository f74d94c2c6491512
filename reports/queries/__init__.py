"""Reads of the ledger, with their parameters and cursors."""
