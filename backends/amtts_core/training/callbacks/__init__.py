"""Loggers: callbacks that write what happened."""
