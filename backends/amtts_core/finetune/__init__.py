"""Weights to start from, what of them learns, growing the vocabulary."""
