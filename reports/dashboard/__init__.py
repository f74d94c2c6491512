"""The pages that operators look at. Programs get the same data from the JSON of the same name."""
