"""Files: atomic writes, checksums, JSON Lines, arrays and tensors that execute nothing when read."""
