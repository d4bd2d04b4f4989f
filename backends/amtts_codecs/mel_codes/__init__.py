"""mel-codes: a vector-quantised autoencoder over log-mels; trains on a CPU in minutes, speaks by Griffin-Lim."""
