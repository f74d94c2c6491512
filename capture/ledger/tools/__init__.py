"""Tool calls, and the results that later requests bring for them."""
