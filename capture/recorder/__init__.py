"""The process that drains the spool into the ledger."""
