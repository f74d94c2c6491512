"""Sessions and calls as JSON, tables as CSV, numbers and texts as people read them."""
