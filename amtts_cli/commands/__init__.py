"""One file a command: it parses and prints; the work is a plain function of the core."""
