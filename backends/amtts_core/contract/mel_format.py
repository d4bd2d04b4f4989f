"""What the numbers of a log-mel mean."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from amtts_core.units import Hertz


@dataclass(frozen=True, kw_only=True)
class MelFormat:
    """Everything that decides what the numbers of a log-mel mean. None: the weights' files do not say it.

    Attributes:
        sample_rate: Hz.
        hop: samples between frames.
        n_fft: length of the FFT, samples.
        window: length of the Hann window, samples.
        n_mels: channels.
        fmin, fmax: edges of the filters, Hz.
        log: base of the logarithm.
        scale: formula of the mel scale.
        norm: `slaney` divides each filter by its width; `none` leaves their peaks at 1.
        power: exponent of the magnitudes, 1 or 2.
        centered: frame i is centered at i hops (True) or at (i + 1/2) hops; not compared, it shifts by half a hop.
    """

    sample_rate: Hertz
    hop: int
    n_fft: int | None
    window: int | None
    n_mels: int
    fmin: float | None
    fmax: float | None
    log: Literal["e", "10"] | None = "e"
    scale: Literal["slaney", "htk"] | None = "slaney"
    norm: Literal["slaney", "none"] | None = "slaney"
    power: float | None = 1.0
    centered: bool = False

    def differences(self, other: MelFormat) -> list[tuple[str, object, object]]:
        """(setting in words, own value, other's value) of each setting that differs; unknown ones are not compared."""
        found: list[tuple[str, object, object]] = []
        for field in fields(self):
            if field.name == "centered":
                continue
            own, theirs = getattr(self, field.name), getattr(other, field.name)
            if own is not None and theirs is not None and own != theirs:
                found.append((_WORDS[field.name], own, theirs))
        return found


_WORDS = {
    "sample_rate": "sample rate",
    "hop": "hop",
    "n_fft": "n_fft",
    "window": "window",
    "n_mels": "mel channels",
    "fmin": "fmin",
    "fmax": "fmax",
    "log": "logarithm to base",
    "scale": "mel scale",
    "norm": "filter norm",
    "power": "power",
}
