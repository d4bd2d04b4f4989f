"""What a speech codec offers. Implementations live in their own packages and are found by entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from amtts_core.units import Hertz

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class SpeechCodec(Protocol):
    """Waveform to discrete codes and back. B items, T samples, K codebooks, L frames."""

    sample_rate: Hertz
    frame_rate: float
    """Frames per second."""
    num_codebooks: int
    cardinality: int
    """Entries of one codebook."""

    def encode(self, waveform: Tensor) -> Tensor:
        """(B, T) float in [-1, 1] -> (B, K, L) int64."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """(B, K, L) int64 -> (B, T) float in [-1, 1]."""
        ...
