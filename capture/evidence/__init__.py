"""The formats of evidence: the log's tree and the records in it. It knows no database."""
