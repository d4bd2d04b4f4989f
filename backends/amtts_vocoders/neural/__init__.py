"""The vocoder that trains here: a harmonic source, a network of gains and phases, projections onto the given mel."""
