"""Checkpoints of a run: written atomically, verified, found, loaded strictly."""
