"""The API's views of what leaves the ledger as files and reports."""
