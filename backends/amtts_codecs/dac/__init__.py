"""DAC (Kumar et al. 2023, "High-Fidelity Audio Compression with Improved RVQGAN") on transformers' network."""
