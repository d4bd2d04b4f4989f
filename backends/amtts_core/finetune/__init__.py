"""Initial weights, which parameters are trained, and vocabulary extension."""
