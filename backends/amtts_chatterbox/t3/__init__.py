"""Chatterbox T3: a Llama that reads text tokens and writes speech tokens, under a voice, a prompt and an emotion."""
