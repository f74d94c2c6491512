"""Code that the benchmarks share: systems to start, load to send, figures to print."""
