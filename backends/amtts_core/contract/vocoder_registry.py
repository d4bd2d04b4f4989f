"""Finds vocoders by entry point (group `amtts.vocoders`) and imports only the chosen one."""

from __future__ import annotations

import os
from pathlib import Path

from amtts_core.contract.entry_points import entry_points, load_entry_point
from amtts_core.contract.vocoder import MelFormat, Vocoder, VocoderClass, require_mel
from amtts_core.errors import AmttsError, nearest

GROUP = "amtts.vocoders"
WITHOUT_WEIGHTS = "griffin-lim"
"""The vocoder of an empty choice."""


def vocoder_names() -> list[str]:
    """Names of all registered vocoders, without importing any."""
    return list(entry_points(GROUP))


def get_vocoder(name: str) -> type[VocoderClass]:
    """The vocoder class called `name`.

    Raises:
        AmttsError: there is none of that name, or its import fails.
    """
    loaded: type[VocoderClass] = load_entry_point(GROUP, name, what="vocoder")
    return loaded


def open_vocoder(choice: str, *, mel: MelFormat, maker: str) -> Vocoder:
    """The vocoder that a setting or `--vocoder` names, for mels of this format.

    Args:
        choice: the name of a vocoder without weights, a file or a folder with weights of any known kind, or empty for
            Griffin-Lim.
        mel: of the mels it will be given.
        maker: who makes them, for messages.

    Raises:
        AmttsError: neither a name nor a path, weights of no known kind, or made for other mels.
    """
    import torch

    choice = choice or WITHOUT_WEIGHTS
    path = Path(choice).expanduser()
    with torch.random.fork_rng(devices=[]):  # networks draw weights before the stored ones replace them
        if choice in entry_points(GROUP) and not path.exists():
            kind = get_vocoder(choice)
            if kind.needs_weights:
                raise AmttsError(
                    f"vocoder '{choice}' needs weights", remedy="Give their file or folder: --vocoder PATH"
                )
            return kind.open(None, mel=mel)
        vocoder = _kind_of(path).open(path, mel=mel)
    require_mel(vocoder, mel, path=path, maker=maker)
    return vocoder


def _kind_of(path: Path) -> type[VocoderClass]:
    """The kind that recognizes the weights at `path`."""
    if not path.exists():
        names = _without_weights()
        raise AmttsError(
            f"vocoder {path} does not exist, and no vocoder has this name{nearest(str(path), names)}",
            remedy="If it has moved, say where to with --vocoder PATH; --vocoder griffin-lim goes without",
        )
    if not os.access(path, os.R_OK):
        raise AmttsError(f"vocoder {path} may not be read", remedy="Change its permissions")
    for name in vocoder_names():
        kind = get_vocoder(name)
        if kind.needs_weights and kind.recognizes(path):
            return kind
    raise AmttsError(
        f"vocoder {path} is of no known kind: {', '.join(n for n in vocoder_names() if n != WITHOUT_WEIGHTS)}",
        remedy="Give a folder with the weights and their config.json or config.yaml, or the file of weights beside it",
    )


def _without_weights() -> list[str]:
    return [name for name in vocoder_names() if not get_vocoder(name).needs_weights]
