"""JSON as it really comes: cut short, with lone surrogates, or deeply nested."""
