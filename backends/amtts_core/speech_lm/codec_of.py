"""The codec that a network's settings name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.codec_registry import get_codec, open_codec
from amtts_core.errors import AmttsError


def codec_of(
    name: str,
    weights: str,
    *,
    backend: str,
    num_codebooks: int,
    num_codes: int,
    remedy: str,
    device: str = "cpu",
) -> SpeechCodec:
    """A codec, opened once a device.

    Args:
        name: of its entry point.
        weights: its file or folder.
        backend: named in errors.
        num_codebooks: that the network reads.
        num_codes: entries of a codebook that the network expects.
        remedy: settings for a codec of `{codes}` entries, with `{start}` and `{rows}` as its first ids after them.
        device: where it computes.

    Raises:
        AmttsError: none is named, it cannot be opened, or its codes are not those of the network.
    """
    kind = get_codec(name) if name and not weights else None  # its codes may come from a store
    without = kind.without_weights() if kind else None
    if not name or not (weights or without):
        raise AmttsError(
            f"backend '{backend}' learns the codes of a speech codec and needs its weights; model.codec is '{name}' "
            f"and model.codec_weights is '{weights}'",
            remedy="Name both: --set model.codec=mel-codes --set model.codec_weights=RUN",
        )
    if without is not None:
        codec = without
    else:
        codec = _opened(name, weights, num_codebooks, device)
    if codec.cardinality != num_codes:
        there = codec.cardinality
        raise AmttsError(
            f"codec '{name}' has {there} codes a codebook, the network expects {num_codes}",
            remedy=remedy.format(codes=there, start=there, stop=there + 1, rows=there + 2),
        )
    return codec


@lru_cache(maxsize=4)
def _opened(name: str, weights: str, num_codebooks: int, device: str) -> SpeechCodec:
    return open_codec(name, Path(weights), num_codebooks=num_codebooks).to(device)
