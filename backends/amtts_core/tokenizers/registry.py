"""Finds the kinds of stored tokenizers: amtts' own by name, others by entry point (group `amtts.tokenizers`).

A kind is a module. It defines `load(folder, settings)`, which opens a stored tokenizer, and may define

train(kind, texts, *, vocab_size, byte_fallback, seed)   trains one, for `amtts tokenize --kind`
add_symbols(tokenizer, addition)                         adds symbols behind the last id, for `amtts extend-vocab` of a
                                                         checkpoint of amtts; returns the new tokenizer and a
                                                         dictionary of what was left out and why
FORMAT                                                   the `TokenizerFormat` of the files it is read from
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from amtts_core.contract.entry_points import entry_points, load_entry_point
from amtts_core.contract.tokenizer_format import TokenizerFormat
from amtts_core.errors import AmttsError, nearest

logger = logging.getLogger(__name__)
GROUP = "amtts.tokenizers"
KINDS = {
    "fidel": "amtts_core.tokenizers.fidel",
    "unigram": "amtts_core.tokenizers.sentencepiece",
    "bpe": "amtts_core.tokenizers.sentencepiece",
    "char": "amtts_core.tokenizers.sentencepiece",
}
"""Kinds of amtts -> module; all of them can be trained."""
_OWN = {**KINDS, "sentencepiece": "amtts_core.tokenizers.published.sentencepiece_model"}


def tokenizer_kinds() -> list[str]:
    """Names of all kinds, without importing any; those of amtts' core first."""
    return [*_OWN, *sorted(set(entry_points(GROUP)) - set(_OWN))]


def tokenizer_module(kind: str) -> Any:
    """The module of a kind, see the head of this file.

    Raises:
        AmttsError: there is no such kind, its import fails, or it is not what the head of this file says.
    """
    if kind in _OWN:
        return importlib.import_module(_OWN[kind])
    points = entry_points(GROUP)
    if kind not in points:
        known = tokenizer_kinds()
        raise AmttsError(
            f"unknown tokenizer kind {kind!r}{nearest(kind, known)}; installed: {', '.join(known)}"
        )
    module = load_entry_point(GROUP, kind, what="tokenizer kind")
    if not callable(getattr(module, "load", None)):
        raise AmttsError(f"tokenizer kind '{kind}' ({points[kind].value}) does not define 'load'")
    declared = getattr(module, "FORMAT", None)
    if declared is not None and not isinstance(declared, TokenizerFormat):
        raise AmttsError(
            f"tokenizer kind '{kind}' ({points[kind].value}): its FORMAT is of type {type(declared).__name__}, "
            "expected TokenizerFormat"
        )
    return module


def check_kind(kind: str) -> None:
    """Refuses a kind that cannot be trained, with the nearest one that can."""
    if kind in KINDS or (kind in tokenizer_kinds() and hasattr(tokenizer_module(kind), "train")):
        return
    trainable = [*KINDS, *(name for name, module in _other_modules() if hasattr(module, "train"))]
    raise AmttsError(
        f"unknown tokenizer kind {kind!r}{nearest(kind, trainable)}",
        remedy=f"Choose one of: {', '.join(trainable)}",
    )


def published_formats() -> list[TokenizerFormat]:
    """The file formats that installed kinds read."""
    declared = (getattr(module, "FORMAT", None) for _, module in _other_modules())
    return [found for found in declared if found is not None]


def _other_modules() -> list[tuple[str, Any]]:
    """Every kind besides `KINDS`, with its module; one that cannot be imported is left out with a warning."""
    found = []
    for kind in tokenizer_kinds():
        if kind in KINDS:
            continue
        try:
            found.append((kind, tokenizer_module(kind)))
        except AmttsError as fault:
            logger.warning("%s", fault.message)
    return found
