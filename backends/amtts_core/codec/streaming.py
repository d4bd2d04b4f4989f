"""Codes to sound piece by piece, without a joint that can be heard.

A codec whose decoder looks only a bounded number of frames around (`LocalDecoder`) decodes each piece with that many
frames on both sides and cuts them off again: the samples are those of decoding everything at once. One that knows
more than that about its decoder streams by itself (`StreamingDecoder`). Any other codec decodes when all codes are
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from amtts_core.contract.codec import SpeechCodec
from amtts_core.units import Seconds

PIECE: Seconds = 0.3
"""Codes that are spoken before they become sound, where speech is streamed."""


@runtime_checkable
class LocalDecoder(Protocol):
    """A codec of which every sample depends on a bounded stretch of codes."""

    hop: int
    """Samples of a frame."""
    context: int
    """Frames on either side that a frame's samples depend on."""


@runtime_checkable
class StreamingDecoder(Protocol):
    """A codec that decodes codes as they come by itself."""

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Codes (K', l) each -> waveforms (t,) on the CPU, whose join is `decode` of all together."""
        ...


def frames_of_piece(codec: SpeechCodec) -> int:
    """Frames of one piece of a stream."""
    return max(1, round(PIECE * codec.frame_rate))


def decode_pieces(codec: SpeechCodec, pieces: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """Sound of codes as they come.

    Args:
        codec: made the codes.
        pieces: (T, K) int64 each, in order.

    Yields:
        (samples,) float32 in [-1, 1]; joined they are `codec.decode` of all pieces together.
    """
    if isinstance(codec, StreamingDecoder):
        for wave in codec.decode_stream(piece.T for piece in pieces):
            yield wave.clamp(-1, 1).float().numpy()
        return
    if not isinstance(codec, LocalDecoder):
        whole = list(pieces)
        if whole:
            yield _decoded(codec, torch.cat(whole))
        return
    context, kept = codec.context, torch.zeros(0, 0, dtype=torch.int64)
    first = given = 0  # frame that `kept` begins with, frame that is to be heard next
    for piece in pieces:
        kept = torch.cat([kept, piece]) if len(kept) else piece
        ready = first + len(kept) - context
        if ready > given:
            sound = _decoded(codec, kept)
            yield sound[(given - first) * codec.hop : (ready - first) * codec.hop]
            given = ready
            kept, first = kept[max(0, given - context - first) :], max(first, given - context)
    if len(kept):
        yield _decoded(codec, kept)[(given - first) * codec.hop :]


def _decoded(codec: SpeechCodec, codes: Tensor) -> np.ndarray:
    sound: np.ndarray = codec.decode(codes.T[None])[0].clamp(-1, 1).float().cpu().numpy()
    return sound
