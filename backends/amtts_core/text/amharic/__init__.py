"""Amharic: tables and rules. `pack.py` puts them together; nothing outside this folder names them."""
