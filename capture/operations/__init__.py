"""What operators change in the ledger, under its lock and on the audit log."""
