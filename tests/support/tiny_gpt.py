"""A tiny IndexTTS2 GPT over made-up codes, and a short training on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from amtts_core.speech_lm.generate import Prompt
from amtts_core.speech_lm.losses import TokenLoss, next_tokens, token_loss
from amtts_indextts2.config import ConformerConfig, IndexTTS2Config, SemanticHeadConfig
from amtts_indextts2.inference import prompt_of
from amtts_indextts2.network import IndexTTS2Gpt

CODEBOOKS, ENTRIES, TEXT = 3, 16, 12
START, STOP = 0, 1
"""Marks of a text."""
SEMANTIC = {"kind": "semantic", "num_codes": ENTRIES + 2, "start": ENTRIES, "stop": ENTRIES + 1}


@dataclass(frozen=True)
class Clip:
    """A text (N,) without marks and its codes (T, K)."""

    text: Tensor
    codes: Tensor

    @property
    def framed(self) -> list[int]:
        """The text from start to stop."""
        return [START, *self.text.tolist(), STOP]


def tiny_gpt(seed: int = 0, **changes: Any) -> IndexTTS2Gpt:
    """Two layers of 48 over three delayed codebooks of 16, or what `changes` say."""
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
            "head": {"kind": "dac", "num_codebooks": CODEBOOKS, "cardinality": ENTRIES},
            "dropout": 0.0,
            **changes,
        }
    )
    network = IndexTTS2Gpt(config, TEXT, num_speakers=1)
    network.initialize()
    return network.eval()


def clips(count: int, *, codebooks: int = CODEBOOKS, seed: int = 3) -> list[Clip]:
    """Random texts with random codes: only memory can reproduce them."""
    torch.manual_seed(seed)
    lengths = [(5, 11), (8, 19), (3, 7), (6, 14)] * count
    return [
        Clip(torch.randint(2, TEXT, (n,)), torch.randint(0, ENTRIES, (t, codebooks)))
        for n, t in lengths[:count]
    ]


def prefix(network: IndexTTS2Gpt, count: int) -> Tensor:
    """The first speaker's prefix, (count, P, D)."""
    return network.prefix(network.latents_of(torch.zeros(count, dtype=torch.int64)))


def prompt(network: IndexTTS2Gpt, clip: Clip, **changes: Any) -> Prompt:
    """The first speaker says a clip's text, in at most 40 frames."""
    options = {"max_frames": 40, **changes}
    return prompt_of(network, prefix(network, 1).detach()[0], clip.framed, **options)


def inputs_of(network: IndexTTS2Gpt, batch: Sequence[Clip]) -> dict[str, Tensor]:
    """Arguments of the network's forward, and `targets` (B, S, K)."""
    lengths = torch.tensor([len(clip.framed) for clip in batch])
    text = pad_sequence([torch.tensor(clip.framed) for clip in batch], batch_first=True, padding_value=7)
    steps = network.speech.to_batch([clip.codes for clip in batch])
    return {
        "text": text,
        "text_lengths": lengths,
        "inputs": steps.inputs,
        "input_lengths": steps.lengths,
        "targets": steps.targets,
    }


def losses(network: IndexTTS2Gpt, batch: Sequence[Clip]) -> tuple[TokenLoss, TokenLoss]:
    """Of the text and of the codes."""
    inputs = inputs_of(network, batch)
    targets = inputs.pop("targets")
    states = network(**inputs, prefix=prefix(network, len(batch)))
    text, speech = network.segments
    following = next_tokens(inputs["text"], inputs["text_lengths"])
    return (
        token_loss(states.hidden, states.packing, text, following, network.text.head),
        token_loss(states.hidden, states.packing, speech, targets, network.speech.head),
    )


def memorize(network: IndexTTS2Gpt, batch: Sequence[Clip], *, steps: int = 250) -> list[float]:
    """Trains until the codes are overfitted; returns the losses on the way."""
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3, weight_decay=0.0)
    history: list[float] = []
    network.train()
    for _ in range(steps):
        text, codes = losses(network, batch)
        loss = codes.mean(network.config.head.all_weights) + 0.1 * text.mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        history.append(float(loss.detach()))
        if float(codes.means.detach().max()) < 0.01:
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
    network = IndexTTS2Gpt(config, TEXT).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network
