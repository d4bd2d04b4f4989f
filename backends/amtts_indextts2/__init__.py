"""IndexTTS2's GPT: text tokens and a voice prefix to speech codes; official weights load, DAC codes are learned."""
