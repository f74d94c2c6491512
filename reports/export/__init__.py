"""What leaves the ledger: exports of sessions and reports, as files and as responses."""
