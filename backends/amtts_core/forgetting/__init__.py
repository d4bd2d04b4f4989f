"""What a training loses of old text and old speech."""
