"""Vocabulary extension: resizes every text-indexed tensor of a network together, by token string, and checks it.

`extend` is the whole operation (`amtts extend-vocab`); the functions below work on single tensors.
"""

from amtts_core.finetune.vocab.resize import resize_linear_layer, resize_token_embeddings
from amtts_core.tokenizers.published.mapping import load_vocab_mapping

__all__ = ["load_vocab_mapping", "resize_linear_layer", "resize_token_embeddings"]
