"""Pitch and voicing of every frame: predicted from the text, and drawn for the decoder as the mel of a pulse train.

A decoder that learns by regression cannot draw harmonics whose place it does not know: a person's pitch differs each
time a sound is said, and the average over pitches is breath. So the pitch is predicted apart (FastPitch, Lancucki 2021;
FastSpeech 2, Ren et al. 2021; here for each frame) and the decoder is given the comb that this pitch draws into a mel.
B items, L frames, H hidden, M mel channels.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.mel.blocks import ConvStack
from amtts_chatterbox.mel.config import ChatterboxMelConfig, PitchConfig
from amtts_core.audio.mel import MelConfig, mel_filters

CENTER, SPREAD = math.log(180.0), 0.3
"""Log pitch that counts as zero, and the distance from it that counts as one."""
ROWS = 256
"""Pitches of the comb table, log-spaced."""
SMOOTH = 19
"""Mel channels of the average that is subtracted from a comb."""


@lru_cache(maxsize=8)
def comb_table(mel: MelConfig, low: float, high: float) -> Tensor:
    """Log-mels of pulse trains without their smooth envelope, (ROWS, M), for pitches from `low` to `high` Hz.

    The spectrum of a pulse train is the transform of the Hann window at every harmonic; harmonics are added by power.
    """
    bins = torch.arange(mel.n_fft // 2 + 1, dtype=torch.float64)
    filters = mel_filters(mel).double()
    rows = []
    for hertz in torch.linspace(math.log(low), math.log(high), ROWS, dtype=torch.float64).exp():
        step = hertz * mel.n_fft / mel.sample_rate
        count = int((mel.n_fft // 2 + 2) / step) + 1
        apart = bins[:, None] - step * torch.arange(1, count + 1, dtype=torch.float64)
        power = _hann_transform(apart).square().sum(1)
        rows.append((filters @ power.sqrt()).clamp(min=1e-7).log())
    logs = torch.stack(rows)
    padded = functional.pad(logs[:, None], (SMOOTH // 2, SMOOTH // 2), mode="replicate")
    return (logs - functional.avg_pool1d(padded, SMOOTH, 1)[:, 0]).float()


def _hann_transform(apart: Tensor) -> Tensor:
    """Magnitude of a Hann window's transform at a distance in bins; 1 at none."""
    near = torch.where(apart.abs() == 1, apart + 1e-6, apart)
    return (torch.sinc(near) / (1 - near.square())).abs()


def normalized_pitch(hertz: Tensor) -> Tensor:
    """Hz -> about zero mean and unit deviation."""
    return (hertz.clamp(min=1.0).log() - CENTER) / SPREAD


class PitchPredictor(nn.Module):
    """Hidden states of frames (B, L, H) -> pitch, normalized, and logit of the voicing, (B, L) each."""

    def __init__(self, hidden: int, config: PitchConfig, *, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(hidden, config.hidden)
        self.body = ConvStack(
            config.hidden, layers=config.layers, kernel=config.kernel, expansion=2, dropout=dropout
        )
        self.leave = nn.Linear(config.hidden, 2)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """hidden (B, L, H), mask (B, L, 1)."""
        pitch, voicing = self.leave(self.body(self.enter(hidden) * mask, mask)).unbind(-1)
        return pitch, voicing


class PitchDrawing(nn.Module):
    """Pitch and voicing as the decoder reads them: the comb in the mel, both numbers themselves.

    Args:
        config: mel and range of the pitch.
    """

    combs: Tensor

    def __init__(self, config: ChatterboxMelConfig) -> None:
        super().__init__()
        low, high = config.pitch.low, config.pitch.high
        self._low, self._range = math.log(low), math.log(high) - math.log(low)
        self.register_buffer("combs", comb_table(config.mel, low, high).clone(), persistent=False)
        self.channels = config.mel.n_mels + 2

    def forward(self, pitch: Tensor, voicing: Tensor) -> Tensor:
        """Normalized pitch (B, L) and voicing (B, L) in [0, 1] -> (B, L, M + 2)."""
        place = ((pitch * SPREAD + CENTER - self._low) / self._range * (ROWS - 1)).clamp(0, ROWS - 1.001)
        below = place.floor()
        share = (place - below)[..., None]
        row = below.long()
        comb = self.combs[row] * (1 - share) + self.combs[row + 1] * share
        voiced = voicing[..., None]
        return torch.cat([comb * voiced, pitch[..., None] * voiced, voiced], dim=-1)
