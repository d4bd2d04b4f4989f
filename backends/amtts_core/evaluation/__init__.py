"""Measuring: does a set-up work, does speech say what it should."""
