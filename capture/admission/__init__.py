"""May this call go upstream? One decision, made of small checks in a visible order."""
