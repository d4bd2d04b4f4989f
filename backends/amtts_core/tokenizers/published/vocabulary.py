"""Token string -> id as published files hold it, and JSON objects in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from amtts_core.errors import AmttsError


def hf_vocabulary(data: dict[str, Any]) -> dict[str, int]:
    """Token string -> id of a Hugging Face `tokenizers` JSON, added tokens included.

    Raises:
        ValueError: a list of tokens or of added tokens is not one.
    """
    vocabulary = data["model"]["vocab"]
    try:
        if isinstance(
            vocabulary, list
        ):  # a unigram model: pairs of token and score, in the order of their ids
            vocabulary = {name: number for number, (name, _) in enumerate(vocabulary)}
        added = {str(token["content"]): token["id"] for token in data.get("added_tokens") or ()}
        found = {**vocabulary, **added}
        if not all(isinstance(name, str) and type(number) is int for name, number in found.items()):
            raise ValueError("an id is no whole number")
    except (TypeError, KeyError, ValueError) as fault:
        raise ValueError(f"its list of tokens is damaged ({fault})") from None
    return found


def check_ids(vocabulary: dict[str, int], path: Path) -> None:
    """Refuses ids that are negative or used twice."""
    names: dict[int, str] = {}
    for name, number in vocabulary.items():
        if number < 0 or number in names:
            what = (
                f"tokens {names[number]!r} and {name!r} share id {number}"
                if number in names
                else f"id {number}"
            )
            raise AmttsError(f"tokenizer {path} is damaged: {what}")
        names[number] = name


def size_of(vocabulary: dict[str, int]) -> int:
    """Number of tokens that a network needs for this vocabulary: one more than the highest id."""
    return max(vocabulary.values(), default=-1) + 1


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        AmttsError: unreadable, or not an object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise AmttsError(f"{path} cannot be read ({fault})") from None
    if not isinstance(data, dict):
        raise AmttsError(f"{path} holds {type(data).__name__}, expected a JSON object")
    return data


def json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where it holds something else."""
    try:
        data = json.loads(path.read_bytes())
    except ValueError:  # also of text that is not UTF-8
        return None
    return data if isinstance(data, dict) else None


def refuse_tag(language: str, path: Path) -> None:
    """Refuses a language tag for a format that has none.

    Raises:
        AmttsError: a tag is given.
    """
    if language:
        raise AmttsError(
            f"tokenizer {path} has no language tags, so it cannot put [{language}] before a text"
        )
