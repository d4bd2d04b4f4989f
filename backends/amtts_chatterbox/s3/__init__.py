"""Chatterbox's audio path: S3 tokenizer, speaker encoder, S3Gen (flow matching) and the HiFT vocoder.

The maths is that of Chatterbox (Resemble AI, MIT), which derives from CosyVoice 2 (Apache-2.0) and the S3 tokenizer
(Apache-2.0); the code is this project's own.
"""
