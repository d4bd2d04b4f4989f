"""Whether two recordings are of one speaker: cosine of speaker embeddings, by the encoder in the package Resemblyzer.

The network is the GE2E encoder of Wan et al. 2018; weights and windows are those of Resemblyzer 0.1.4 (Apache-2.0). The
package itself is not imported: it imports webrtcvad and librosa. Its voice activity detection, which cuts long silences
out before embedding, is replaced by leaving out windows without sound.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.audio.mel import MelConfig, mel_filters
from amtts_core.errors import AmttsError
from amtts_core.evaluation.packages import WITHOUT_DEPENDENCIES, folder_of
from amtts_core.units import Decibels, Hertz

RATE: Hertz = 16_000
WINDOW, STEP = 160, 77
"""Frames of 10 ms that the encoder reads at a time, and between such windows (a rate of 1.3 a second)."""
LEAST_COVERAGE = 0.75
TARGET_LEVEL: Decibels = -30.0
"""Quieter recordings are raised to it, as the encoder was trained."""
SILENT: Decibels = -50.0
"""Windows under the loudest one by more than this hold no voice."""
_MEL = MelConfig(sample_rate=RATE, n_fft=400, hop=160, n_mels=40, fmin=0.0, fmax=8000.0)


class SpeakerEncoder(nn.Module):
    """Windows of power mels (N, 160, 40) to unit vectors (N, 256) without negative channels."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MEL.n_mels, 256, num_layers=3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, windows: Tensor) -> Tensor:
        _, (last, _) = self.lstm(windows)
        raw = functional.relu(self.linear(last[-1]))
        return functional.normalize(raw, dim=1)

    @torch.inference_mode()
    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """The speaker vector (256,) of a waveform (T,) at 16 kHz.

        Raises:
            AmttsError: there is no sound in it.
        """
        samples = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))
        level = float(samples.square().mean().sqrt()) if len(samples) else 0.0
        if level <= 0:
            raise AmttsError("speaker similarity needs a recording with sound in it")
        raised = max(1.0, 10 ** ((TARGET_LEVEL - 20 * np.log10(level)) / 20))
        windows = _windows(power_mel(samples * raised))
        loud = windows.square().mean((1, 2)).sqrt().log10() * 10
        mean = self(windows[loud > loud.max() + SILENT]).mean(0)
        return (mean / mean.norm()).numpy()


def power_mel(waveform: Tensor) -> Tensor:
    """(T,) -> (L, 40): power mels with centered windows and zero padding, as librosa's defaults give them."""
    window = torch.hann_window(_MEL.n_fft)
    spectrum = torch.stft(
        waveform, _MEL.n_fft, _MEL.hop, window=window, center=True, pad_mode="constant", return_complex=True
    )
    return (mel_filters(_MEL) @ spectrum.abs().square()).T


def _windows(mel: Tensor) -> Tensor:
    """(L, M) -> (N, 160, M); the last one is padded with zeros where three quarters of it are sound."""
    count = max(1, 1 + (len(mel) - WINDOW + STEP) // STEP)
    last = STEP * (count - 1)
    if count > 1 and (len(mel) - last) / WINDOW < LEAST_COVERAGE:
        count -= 1
    needed = WINDOW + STEP * (count - 1)
    padded = functional.pad(mel, (0, 0, 0, max(0, needed - len(mel))))[:needed]
    return padded.unfold(0, WINDOW, STEP).transpose(1, 2)


@cache
def speaker_encoder() -> SpeakerEncoder:
    """The encoder with the weights of the package Resemblyzer, in evaluation mode.

    Raises:
        AmttsError: the package is missing.
    """
    folder = folder_of("resemblyzer", needed_for="speaker similarity", remedy=WITHOUT_DEPENDENCIES)
    stored = torch.load(folder / "pretrained.pt", map_location="cpu", weights_only=True)["model_state"]
    encoder = SpeakerEncoder()
    encoder.load_state_dict({name: stored[name] for name in encoder.state_dict()})
    return encoder.eval()


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of two speaker vectors, 0 to 1."""
    return float(np.dot(first, second) / (np.linalg.norm(first) * np.linalg.norm(second)))
