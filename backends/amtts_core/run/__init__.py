"""What a command does, as plain functions; printing is the caller's."""
