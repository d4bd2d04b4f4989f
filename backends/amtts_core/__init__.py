"""The core of amtts: text, audio, data, training and synthesis. Knows no model and no terminal."""
