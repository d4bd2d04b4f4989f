"""Chatterbox Turbo and Nano: T3 with a GPT-2 transformer."""
