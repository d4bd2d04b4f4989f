"""Griffin-Lim as a vocoder: no weights, every mel, a metallic sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from amtts_core.audio.griffin_lim import griffin_lim
from amtts_core.audio.mel import MelConfig
from amtts_core.contract.vocoder import MelFormat

ITERATIONS = 48


class GriffinLim:
    """Serves mels of any format that `MelConfig` describes."""

    name = "griffin-lim"
    needs_weights = False
    license = "no weights"

    def __init__(self, mel: MelFormat, *, iterations: int = ITERATIONS) -> None:
        self.mel = mel
        self.iterations = iterations
        self._config = MelConfig(
            sample_rate=mel.sample_rate,
            n_fft=mel.n_fft or 4 * mel.hop,
            hop=mel.hop,
            n_mels=mel.n_mels,
            fmin=mel.fmin or 0.0,
            fmax=mel.fmax or mel.sample_rate / 2,
        )

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Never: it has no weights."""
        return False

    @classmethod
    def open(cls, path: Path | None, *, mel: MelFormat) -> GriffinLim:
        """For these mels."""
        return cls(mel)

    @torch.inference_mode()
    def vocode(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """(M, L) -> (T,); `seed` draws the first phases."""
        waveform = griffin_lim(mel.float().cpu(), self._config, iterations=self.iterations, seed=seed)
        return waveform.clamp(-1, 1)

    def stream(self, pieces: Iterable[Tensor], *, seed: int = 0) -> Iterator[Tensor]:
        """One waveform at the end: every sample depends on all frames."""
        held = list(pieces)
        if held:
            yield self.vocode(torch.cat(held, dim=1), seed=seed)

    def to(self, device: torch.device | str) -> GriffinLim:
        """Stays on the CPU."""
        return self

    def save(self, folder: Path) -> None:
        """Nothing: it has no weights."""
