"""Measurements of the whole system beside others, run by hand: `python -m benchmarks.proxy`."""
