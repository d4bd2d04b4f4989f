"""A tiny w2v-bert as Hugging Face stores it, and statistics as IndexTTS2 publishes them."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

LAYER = 1


def write_w2v_bert(folder: Path, *, layers: int = 2, seed: int = 0) -> Path:
    """Two layers of 1024, random, half precision (30 MB); and `stats.pt`."""
    torch.manual_seed(seed)
    config = Wav2Vec2BertConfig(
        hidden_size=1024,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=8,
        conv_depthwise_kernel_size=3,
        output_hidden_size=1024,
    )
    Wav2Vec2BertModel(config).half().save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)
    torch.save({"mean": torch.randn(1024), "var": torch.rand(1024) + 0.5}, folder / "stats.pt")
    return folder


def settings(folder: Path) -> dict[str, object]:
    """The network's settings that name it."""
    return {
        "conditioning": "conformers",
        "voice_model": str(folder),
        "voice_statistics": str(folder / "stats.pt"),
        "voice_layer": LAYER,
    }
