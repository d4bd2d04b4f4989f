"""From a waveform to what is stored of it, and from examples to the tensors of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from amtts_core.audio.pcm import from_pcm16
from amtts_core.contract.types import Batch, Example
from amtts_vits.config import VitsSettings
from amtts_vits.spectrogram import linear_spectrogram

BLANK = 0
"""Id between symbols and at both ends; row 0 of every tokenizer, where nothing else is written."""


def with_blanks(tokens: Sequence[int]) -> list[int]:
    """N ids -> 2 N + 1 ids: a blank before, between and after them, so that pauses and transitions have a place."""
    out = [BLANK] * (2 * len(tokens) + 1)
    out[1::2] = tokens
    return out


def padded_tokens(tokens: Sequence[Sequence[int]]) -> Tensor:
    """Ids with blanks as (B, N), padded with blanks."""
    longest = max(len(t) for t in tokens)
    return torch.tensor([[*t, *[BLANK] * (longest - len(t))] for t in tokens])


def collate(examples: Sequence[Example], settings: VitsSettings) -> Batch:
    """Tensors of a batch, without speakers.

    Returns:
        `tokens` (B, N) with blanks, `token_lengths` (B,), `spectrogram` (B, F, L) linear magnitudes, `frame_lengths`
        (B,), `waveform` (B, 1, L x hop) in [-1, 1]. L is at least the segment that the decoder learns from.
    """
    hop = settings.mel.hop
    tokens = [with_blanks(example.tokens) for example in examples]
    frames = [len(example.features["waveform"]) // hop for example in examples]
    longest = max(*frames, settings.segment_frames)
    waveforms = torch.zeros(len(examples), 1, longest * hop)
    spectrograms = torch.zeros(len(examples), settings.mel.n_fft // 2 + 1, longest)
    for row, (example, length) in enumerate(zip(examples, frames, strict=True)):
        stored = np.asarray(example.features["waveform"]).reshape(-1)[: length * hop]
        waveform = torch.from_numpy(from_pcm16(stored))
        waveforms[row, 0, : length * hop] = waveform
        if length:  # each at its own length: the reflected samples at its end are its own
            spectrograms[row, :, :length] = linear_spectrogram(waveform[None], settings.mel)[0, :, :length]
    return {
        "ids": [example.id for example in examples],
        "tokens": padded_tokens(tokens),
        "token_lengths": torch.tensor([len(t) for t in tokens]),
        "spectrogram": spectrograms,
        "frame_lengths": torch.tensor(frames),
        "waveform": waveforms,
    }
