"""Tokenizer files of published models: reading them, and adding symbols without moving an existing id.

Shared by the formats that backends declare (`TokenizerFormat`): Hugging Face files (`hf_file`, `hf_surgery`),
SentencePiece models (`sentencepiece_model`), sets of Ethiopic symbols (`symbols`). `mapping` and `open` read
a file of any format.
"""
