"""Vocoders: from log-mel spectrograms to waveforms; one that trains here and readers of published ones."""
