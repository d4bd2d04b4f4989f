"""Waveforms: reading and writing, silence, loudness, mel spectrograms."""
