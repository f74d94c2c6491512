"""Prices of models, and the costs of calls that follow from them."""
