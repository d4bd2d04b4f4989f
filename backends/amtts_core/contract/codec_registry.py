"""Finds codecs by entry point (group `amtts.codecs`) and imports only the chosen one."""

from __future__ import annotations

from pathlib import Path

from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.entry_points import entry_points, load_entry_point
from amtts_core.errors import AmttsError

GROUP = "amtts.codecs"


def codec_names() -> list[str]:
    """Names of all registered codecs, without importing any."""
    return list(entry_points(GROUP))


def get_codec(name: str) -> type[SpeechCodec]:
    """The codec class called `name`.

    Raises:
        AmttsError: there is none of that name, or its import fails.
    """
    loaded: type[SpeechCodec] = load_entry_point(GROUP, name, what="codec")
    return loaded


def open_codec(name: str, weights: Path, *, num_codebooks: int = 0, precision: str = "fp32") -> SpeechCodec:
    """The codec `name` with these weights, see `SpeechCodec.open`. Draws nothing from torch's random numbers.

    Args:
        name: of its entry point.
        weights: a file or folder.
        num_codebooks: keep the first ones only; 0 keeps all.
        precision: one of the codec's `precisions`.

    Raises:
        AmttsError: no such codec or weights, or a precision that the codec lacks.
    """
    import torch

    if not weights.exists():
        raise AmttsError(
            f"weights {weights} of codec '{name}' do not exist",
            remedy="If they have moved, say where to: --set model.codec_weights=PATH, or --weights PATH of "
            "amtts encode-codes",
        )
    with torch.random.fork_rng(
        devices=[]
    ):  # networks draw weights on the CPU before the stored ones replace them
        codec = get_codec(name).open(weights, num_codebooks=num_codebooks)
    if precision != "fp32":
        if precision not in codec.precisions:
            raise AmttsError(
                f"codec '{name}' computes in {', '.join(codec.precisions)} only, got precision {precision}",
                remedy="Leave out --precision",
            )
        codec.set_precision(precision)
    return codec
