"""Changes that operators make to the ledger, under its lock and on the audit log."""
