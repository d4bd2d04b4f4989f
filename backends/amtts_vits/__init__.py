"""VITS (Kim et al. 2021): text to waveform in one network, trained as a conditional variational autoencoder and GAN."""
