"""A call as JSON and as a row of CSV."""
