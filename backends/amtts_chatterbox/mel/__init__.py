"""chatterbox-mel: encoder, duration predictor, length regulator, mel decoder; durations by alignment search."""
