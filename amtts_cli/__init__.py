"""The faces of amtts: the command line (and what later joins it). Parses and prints; holds no tensors."""
