"""Listening tests: one page that runs in a browser without a server, and the scoring of what listeners send back."""
