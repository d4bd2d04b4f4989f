"""Chatterbox-family backends. `mel`: the small, fast sibling that learns mel spectrograms on a CPU."""
