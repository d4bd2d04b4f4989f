"""AAC in an MP4 file, as telephones and browsers play it; written by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from amtts_core.units import Hertz

BIT_RATE = 96_000


class AacFile:
    """Takes mono samples and writes them as AAC.

    Args:
        path: to write, whatever its ending.
        rate: Hz.
    """

    def __init__(self, path: Path, rate: Hertz) -> None:
        self._container = av.open(str(path), "w", format="ipod")
        self._stream = self._container.add_stream("aac", rate=rate, layout="mono")
        self._stream.bit_rate = BIT_RATE
        self._rate, self._samples = rate, 0

    def write(self, samples: np.ndarray) -> None:
        """(T,) float in [-1, 1]."""
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._samples
        self._samples += len(samples)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Writes what is left and the index."""
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
