"""Readers of vocoders that others have trained: HiFi-GAN, BigVGAN, Vocos. Nothing in their files is run."""
