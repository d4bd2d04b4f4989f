"""Hugging Face `tokenizers` files (`tokenizer.json`): reading and checking them. What tokens mean is the family's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.published.vocabulary import check_ids, hf_vocabulary, json_object, read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def is_hf_file(path: Path) -> bool:
    """True for a file with a model and its vocabulary."""
    data = json_object(path) or {}
    return isinstance(data.get("model"), dict) and isinstance(data["model"].get("vocab"), dict | list)


def read_hf_vocabulary(path: Path) -> dict[str, int]:
    """Token string -> id of a file, added tokens included.

    Raises:
        AmttsError: its lists of tokens are damaged, or two tokens share an id.
    """
    try:
        vocabulary = hf_vocabulary(read_json(path))
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is damaged: {fault}") from None
    check_ids(vocabulary, path)
    return vocabulary


def open_tokenizer(data: dict[str, Any]) -> Tokenizer:
    """The official implementation on a file's content; the same text always has the same tokens (no dropout).

    Raises:
        ValueError: it refuses the content.
    """
    from tokenizers import Tokenizer

    if data["model"].get("dropout"):
        data = {**data, "model": {**data["model"], "dropout": None}}
    try:
        return Tokenizer.from_str(json.dumps(data, ensure_ascii=False))
    except Exception as fault:  # noqa: BLE001 - the library raises plain Exception
        raise ValueError(f"Hugging Face tokenizers cannot read it ({fault})") from None


def check_ids_as_read(data: dict[str, Any], path: Path) -> None:
    """Refuses a file to whose tokens the library gives other ids than the file itself.

    Raises:
        AmttsError: names the first such token and both ids.
    """
    read = open_tokenizer(data).get_vocab(with_added_tokens=True)
    for name, number in hf_vocabulary(data).items():
        if read.get(name) != number:
            raise AmttsError(
                f"tokenizer {path} is damaged: it gives {name!r} id {number}, Hugging Face tokenizers reads "
                f"{read.get(name)}",
                remedy="Take the file that came with the weights, or save it again with the tokenizers library",
            )
