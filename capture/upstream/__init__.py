"""Clients of the providers, and the choice of one for each request."""
