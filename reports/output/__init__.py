"""Sessions and calls as JSON, and tables as CSV."""
