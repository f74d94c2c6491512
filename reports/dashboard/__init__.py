"""The pages that operators look at. Each shows what the JSON of the same name tells programs."""
