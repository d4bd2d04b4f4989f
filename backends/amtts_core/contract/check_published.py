"""Whether a backend's `PublishedFormat` can be used: checked once, with the rest of its spec."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args

from amtts_core.contract.published import Mode, PublishedFormat
from amtts_core.contract.tokenizer_format import TokenizerFormat

_EXTEND = ("reuse", "pad_to", "language")
_TRAIN = ("vocab_size", "byte_fallback", "seed")
# Field -> number of positional arguments and names of keyword arguments that it is called with.
_FORMAT_CALLS = {"open_weights": (1, ()), "probe": (3, ())}
_TOKENIZER_CALLS = {
    "recognizes": (1, ()),
    "read_vocabulary": (1, ()),
    "open": (1, ("language",)),
    "extend": (2, _EXTEND),
    "train": (2, _TRAIN),
}
_OPTIONAL = ("probe", "extend", "train")


def faults_of_published(published: object, *, backend: str) -> Iterator[str]:
    """What is wrong with `BackendSpec.published`, a sentence each.

    Args:
        published: the declared object.
        backend: name of the backend that declares it.
    """
    if published is None:
        return
    if not isinstance(published, PublishedFormat):
        yield f"spec.published is of type {type(published).__name__}, expected PublishedFormat"
        return
    if published.name != backend:
        yield f"spec.published.name is '{published.name}', expected '{backend}'"
    if not published.weight_files:
        yield "spec.published.weight_files names no file"
    if published.text_tensors and published.text_tensors[0].kind != "embedding":
        yield "spec.published.text_tensors has to begin with an embedding"
    if not published.modes or set(published.modes) - set(get_args(Mode)):
        yield f"spec.published.modes is {published.modes}, expected some of {', '.join(get_args(Mode))}"
    try:
        re.compile(published.text_names)
    except re.error as fault:
        yield f"spec.published.text_names is no regular expression ({fault})"
    yield from _call_faults(published, "spec.published", _FORMAT_CALLS)
    if published.tokenizer is None:
        if published.text_tensors:
            yield "spec.published.text_tensors are declared, but no spec.published.tokenizer"
        return
    if not isinstance(published.tokenizer, TokenizerFormat):
        kind = type(published.tokenizer).__name__
        yield f"spec.published.tokenizer is of type {kind}, expected TokenizerFormat"
        return
    yield from _call_faults(published.tokenizer, "spec.published.tokenizer", _TOKENIZER_CALLS)


def _call_faults(
    declared: object, where: str, calls: Mapping[str, tuple[int, tuple[str, ...]]]
) -> Iterator[str]:
    """Functions that are missing or cannot be called as the core calls them."""
    assert is_dataclass(declared)
    for name in (field.name for field in fields(declared)):
        if name not in calls or (name in _OPTIONAL and getattr(declared, name) is None):
            continue
        positional, keywords = calls[name]
        function: Any = getattr(declared, name)
        try:
            inspect.signature(function).bind(*range(positional), **dict.fromkeys(keywords))
        except (TypeError, ValueError) as fault:
            yield f"{where}.{name} cannot be called with {_arguments(positional, keywords)}: {fault}"


def _arguments(positional: int, keywords: tuple[str, ...]) -> str:
    parts = [f"{positional} argument{'s' if positional > 1 else ''}", *(f"{name}=..." for name in keywords)]
    return ", ".join(parts)
