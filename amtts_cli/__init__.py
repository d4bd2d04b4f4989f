"""The faces of amtts: the command line (and what later joins it). Parses, prints, serves; holds no tensors."""
