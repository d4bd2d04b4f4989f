"""What every writer compares what it wrote by."""

from __future__ import annotations

from amtts_vits.inference import Utterance
from amtts_vits.modules import Generator

ERROR = 1e-4
"""Root of the mean squared difference over that of the signal, at most. An honest export is 1e-6 away (float32 sums in
another order); rounding quiet speech to 16 bits moves it by 2e-4."""
PACE = 1.07
"""Brings an untrained network's durations away from whole numbers, where rounding up goes either way."""


def check_utterance(model: Generator) -> Utterance:
    """A sentence of ids without noise, to compare waveforms by."""
    rows = model.config.vocab_size
    tokens = [0] * 41
    tokens[1::2] = [1 + (7 * place) % max(1, rows - 1) for place in range(20)]
    return Utterance(tokens=[min(t, rows - 1) for t in tokens], noise_scale=0.0, noise_scale_duration=0.0)
