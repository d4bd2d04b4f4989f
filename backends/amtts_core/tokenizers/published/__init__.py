"""Tokenizers that came with published models, read and extended without moving one of their ids.

`hf_json` is Chatterbox' BPE file, `sentencepiece_model` IndexTTS2's, `vits_vocab` the character list of VITS and MMS.
Each class is a `TextTokenizer`; each module can also add symbols and says what it could not add.
"""
