"""The decision whether a call may go upstream, made of small checks in a visible order."""
