"""What backends, codecs and tokenizers offer, and how they are found. Holds no implementation."""
