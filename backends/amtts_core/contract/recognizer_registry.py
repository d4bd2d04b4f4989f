"""Finds recognizers by entry point (group `amtts.recognizers`) and imports only those that are asked."""

from __future__ import annotations

from amtts_core.contract.entry_points import entry_points, load_entry_point
from amtts_core.contract.recognizer import FrameRecognizer, Recognizer, RecognizerClass
from amtts_core.errors import AmttsError, nearest

GROUP = "amtts.recognizers"
DEFAULT = "ctc"
"""Its weights come along."""


def recognizer_names() -> list[str]:
    """Names of all registered recognizers, without importing any."""
    return list(entry_points(GROUP))


def get_recognizer(name: str) -> type[RecognizerClass]:
    """The recognizer class called `name`.

    Raises:
        AmttsError: there is none of that name, or its import fails.
    """
    loaded: type[RecognizerClass] = load_entry_point(GROUP, name, what="recognizer")
    return loaded


def open_recognizer(source: str = "", *, device: str = "cpu") -> Recognizer:
    """A recognizer by what a user writes.

    Args:
        source: empty or a registered name for the weights that come along; a folder (a run or checkpoint of amtts, a
            model of Hugging Face); a name on the Hugging Face hub; or KIND:SOURCE, where a folder could be several.
        device: where it computes.

    Raises:
        AmttsError: no recognizer reads it.
    """
    names = recognizer_names()
    kind, colon, rest = source.partition(":")
    if not source or source in names:
        return get_recognizer(source or DEFAULT).open("", device=device)
    if colon and kind in names:
        return get_recognizer(kind).open(rest, device=device)
    for name in names:
        loaded = get_recognizer(name)
        if loaded.reads(source):
            return loaded.open(source, device=device)
    raise AmttsError(
        f"recognizer '{source}'{nearest(source, names)} is no folder of a recognizer and no name of one",
        remedy="Give a run of `amtts train --backend recognizer`, a folder or hub name of a Hugging Face model, or "
        f"one of: {', '.join(names)}",
    )


def frame_recognizer(source: str = "", *, device: str = "cpu") -> FrameRecognizer:
    """A recognizer that text can be aligned with.

    Raises:
        AmttsError: there is none, or it says nothing of single frames.
    """
    found = open_recognizer(source, device=device)
    if not isinstance(found, FrameRecognizer):
        raise AmttsError(
            f"recognizer '{found.name}' gives no frames, so text cannot be aligned with it",
            remedy="Take a CTC model, such as the default: --recognizer ctc",
        )
    return found
