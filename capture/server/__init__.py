"""Daphne, made transparent: requests and responses pass byte for byte."""
