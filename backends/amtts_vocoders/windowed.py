"""Streaming of vocoders whose every sample depends on a bounded number of frames around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

PIECE = 32
"""Frames of one waveform of a stream, at least."""


def windowed_stream(
    vocode: Callable[[Tensor], Tensor], pieces: Iterable[Tensor], *, context: int, hop: int
) -> Iterator[Tensor]:
    """Mel pieces (M, l) -> waveforms (t,), whose join is `vocode` of the joined mel.

    Args:
        vocode: (M, L) -> (T,), with a sample n in frame n // hop.
        pieces: in order.
        context: frames on both sides that a sample of `vocode` depends on.
        hop: samples of a frame.
    """
    kept: Tensor | None = None
    first = given = 0  # frame that `kept` begins with, frame that is spoken next
    for piece in pieces:
        kept = piece if kept is None else torch.cat([kept, piece], dim=1)
        ready = first + kept.shape[1] - context
        if ready - given >= PIECE:
            yield vocode(kept)[(given - first) * hop : (ready - first) * hop]
            given = ready
            kept, first = kept[:, max(0, given - context - first) :], max(first, given - context)
    if kept is not None and kept.shape[1]:
        yield vocode(kept)[(given - first) * hop :]
