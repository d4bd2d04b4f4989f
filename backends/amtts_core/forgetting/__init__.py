"""How much a model forgets of old text and old speech."""
