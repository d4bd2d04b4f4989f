"""Vocabulary surgery: grow every text-indexed tensor of a network together, by token string, and prove the result.

`extend` is the whole operation (`amtts extend-vocab`); the functions below work on single tensors. `freeze`, `rates`
and `lora` say what may move in training afterwards, `forgetting` what the old languages lost.
"""

from amtts_core.finetune.vocab.resize import resize_linear_layer, resize_token_embeddings
from amtts_core.tokenizers.published.mapping import load_vocab_mapping

__all__ = ["load_vocab_mapping", "resize_linear_layer", "resize_token_embeddings"]
