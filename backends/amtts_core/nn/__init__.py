"""Parts of networks and losses that several model families share; no model family."""
