"""A tiny IndexTTS2 GPT over made-up codes, and a short training on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amtts_indextts2.config import ConformerConfig, IndexTTS2Config, SemanticHeadConfig
from amtts_indextts2.losses import book_losses, code_rows, text_loss, weighted
from amtts_indextts2.network import IndexTTS2Gpt, TextIds

BOOKS, ENTRIES, TEXT = 3, 16, 12


@dataclass(frozen=True)
class Clip:
    """A text (N,) and its codes (T, K)."""

    text: Tensor
    codes: Tensor


def tiny_gpt(seed: int = 0, **changes: Any) -> IndexTTS2Gpt:
    """Two layers of 48 over three delayed books of 16, or what `changes` say."""
    torch.manual_seed(seed)
    config = IndexTTS2Config.model_validate(
        {
            "model_dim": 48,
            "layers": 2,
            "heads": 4,
            "max_text_tokens": 20,
            "max_mel_tokens": 60,
            "num_latents": 2,
            "conditioning": "table",
            "head": {"kind": "dac", "num_codebooks": BOOKS, "cardinality": ENTRIES},
            "dropout": 0.0,
            **changes,
        }
    )
    network = IndexTTS2Gpt(config, TextIds(TEXT), num_speakers=1)
    network.initialize()
    return network.eval()


def clips(count: int, *, books: int = BOOKS, seed: int = 3) -> list[Clip]:
    """Random texts with random codes: only memory can reproduce them."""
    torch.manual_seed(seed)
    lengths = [(5, 11), (8, 19), (3, 7), (6, 14)] * count
    return [
        Clip(torch.randint(2, TEXT, (n,)), torch.randint(0, ENTRIES, (t, books))) for n, t in lengths[:count]
    ]


def prefix(network: IndexTTS2Gpt, count: int) -> Tensor:
    """The first speaker's prefix, (count, P, D)."""
    return network.prefix(network.latents_of(torch.zeros(count, dtype=torch.int64)))


def losses(network: IndexTTS2Gpt, batch: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """Text loss (scalar) and books' losses (K,)."""
    lengths = torch.tensor([len(clip.text) for clip in batch])
    text = torch.nn.utils.rnn.pad_sequence([clip.text for clip in batch], batch_first=True, padding_value=7)
    rows = code_rows([clip.codes for clip in batch], network.config.head)
    text_logits, logits = network(prefix(network, len(batch)), text, lengths, rows.inputs, rows.lengths)
    marked = network.marked_text(text, lengths)
    return text_loss(text_logits, marked, lengths), book_losses(logits, rows.targets)


def memorise(network: IndexTTS2Gpt, batch: Sequence[Clip], *, steps: int = 250) -> list[float]:
    """Trains until the codes are known by heart; returns the losses on the way."""
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3, weight_decay=0.0)
    history: list[float] = []
    network.train()
    for _ in range(steps):
        text, books = losses(network, batch)
        loss = weighted(books, network.config.head) + 0.1 * text
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        history.append(float(loss.detach()))
        if float(books.detach().max()) < 0.01:
            break
    network.eval()
    return history


def small_network() -> IndexTTS2Gpt:
    """A network of the published make (conformers, semantic head) with strong random weights."""
    part = ConformerConfig(
        output_size=16, linear_units=8, attention_heads=2, num_blocks=1, perceiver_mult=0.1
    )
    config = IndexTTS2Config(
        model_dim=32,
        layers=2,
        heads=4,
        max_text_tokens=20,
        max_mel_tokens=40,
        num_latents=3,
        speaker=part,
        emotion=part,
        head=SemanticHeadConfig(num_codes=18, start=16, stop=17),
    )
    torch.manual_seed(0)
    network = IndexTTS2Gpt(config, TextIds(TEXT)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network
