"""The state of limits and budgets, in memory or in Redis."""
