"""Codes to sound piece by piece, without an audible joint.

A codec with a `SpeechCodec.decoder_context` decodes each piece with that many
frames on both sides and cuts them off again: the samples are those of decoding everything at once. One whose
`decodes_streams` is set knows more about its decoder and streams by itself. Any other decodes when all codes are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from amtts_core.contract.codec import SpeechCodec
from amtts_core.units import Seconds

PIECE: Seconds = 0.3
"""Codes that are spoken before they become sound, where speech is streamed."""


def frames_of_piece(codec: SpeechCodec) -> int:
    """Frames of one piece of a stream."""
    return max(1, round(PIECE * codec.frame_rate))


def decode_pieces(codec: SpeechCodec, pieces: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """Sound of codes as they come.

    Args:
        codec: made the codes.
        pieces: (T, K) int64 each, in order.

    Yields:
        (samples,) float32 in [-1, 1]; joined they are `codec.decode` of all pieces together, or what a
        `StreamingDecoder` makes of them.
    """
    if codec.decodes_streams:
        for wave in codec.decode_stream(piece.T for piece in pieces):
            yield wave.clamp(-1, 1).float().numpy()
        return
    context = codec.decoder_context
    if context is None:
        whole = list(pieces)
        if whole:
            yield _decoded(codec, torch.cat(whole))
        return
    kept, hop = torch.zeros(0, 0, dtype=torch.int64), codec.samples_per_frame
    first = given = 0  # frame that `kept` begins with, frame that is to be played next
    for piece in pieces:
        kept = torch.cat([kept, piece]) if len(kept) else piece
        ready = first + len(kept) - context
        if ready > given:
            sound = _decoded(codec, kept)
            yield sound[(given - first) * hop : (ready - first) * hop]
            given = ready
            kept, first = kept[max(0, given - context - first) :], max(first, given - context)
    if len(kept):
        yield _decoded(codec, kept)[(given - first) * hop :]


def _decoded(codec: SpeechCodec, codes: Tensor) -> np.ndarray:
    sound: np.ndarray = codec.decode(codes.T[None])[0].clamp(-1, 1).float().cpu().numpy()
    return sound
