"""The training loop: one for all backends."""
