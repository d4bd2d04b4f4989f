"""Tigrinya: a minimal pack that shows what a second language costs."""
