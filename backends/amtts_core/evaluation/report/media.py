"""Sound and spectrograms as data URLs, so that a page can be sent alone."""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile
import torch
from PIL import Image

from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.evaluation.systems import at_rate
from amtts_core.training.figures import to_image
from amtts_core.units import Hertz

_MEL = MelConfig(sample_rate=16_000, n_fft=512, hop=160, n_mels=64, fmin=40.0, fmax=8000.0)
PIXELS_PER_SECOND = 100


def sound_url(waveform: np.ndarray, rate: Hertz) -> str:
    """A waveform (T,) as MP3, which every browser plays; at 24 kHz at most."""
    lower = min(rate, 24_000)
    wanted = lower if lower in (16_000, 22_050, 24_000) else 24_000
    samples = np.clip(at_rate(waveform, rate, wanted), -1, 1)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, wanted, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.6)
    return _url("audio/mpeg", buffer.getvalue())


def spectrogram_url(waveform: np.ndarray, rate: Hertz) -> str:
    """A log-mel spectrogram as PNG, 100 pixels a second and 64 high; empty for less than a window."""
    samples = at_rate(waveform, rate, _MEL.sample_rate)
    if len(samples) < _MEL.n_fft:
        return ""
    mel = log_mel(torch.from_numpy(np.ascontiguousarray(samples))[None], _MEL)[0]
    image = Image.fromarray(to_image(mel.clamp(min=float(mel.max()) - 9))).quantize(64)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return _url("image/png", buffer.getvalue())


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
