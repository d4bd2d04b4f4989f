"""Token string -> id from a tokenizer of any known kind, told apart by what the file holds, not by its name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from amtts_core.errors import AmttsError
from amtts_core.text.tokenizer import SETTINGS_FILE, load_tokenizer, read_settings

FileKind = Literal["amtts", "fidel", "hf-json", "sentencepiece", "vits"]
_FOLDER_FILES = (
    SETTINGS_FILE,
    "vocab.json",
    "bpe.model",
    "tokenizer.model",
    "grapheme_mtl_merged_expanded_v1.json",
)
_EXPECTED = "a tokenizer.json of Hugging Face or amtts, a SentencePiece .model, or the vocab.json of VITS"


@dataclass(frozen=True)
class TokenizerFile:
    """Where a tokenizer is stored and of which kind it is. `kind` "amtts" is any amtts folder but a fidel one."""

    path: Path
    kind: FileKind


def tokenizer_file(path: Path) -> TokenizerFile:
    """Finds and recognises a tokenizer.

    Args:
        path: a file, or a folder that holds one.

    Raises:
        AmttsError: nothing is there, or it is of no known kind.
    """
    if path.is_dir():
        found = next((path / name for name in _FOLDER_FILES if (path / name).is_file()), None)
        if found is None:
            raise AmttsError(f"no tokenizer in {path}", remedy=f"Expected {_EXPECTED}")
        path = found
    if not path.is_file():
        raise AmttsError(f"no tokenizer at {path}: there is no such file", remedy=f"Expected {_EXPECTED}")
    head = path.read_bytes()[:64].lstrip()
    if not head.startswith(b"{"):
        if not _is_sentencepiece(path):
            raise AmttsError(f"{path} is no tokenizer", remedy=f"Expected {_EXPECTED}")
        return TokenizerFile(path, "sentencepiece")
    data = read_json(path)
    if isinstance(data.get("kind"), str) and "format" in data:
        return TokenizerFile(path.parent, "fidel" if data["kind"] == "fidel" else "amtts")
    if isinstance(data.get("model"), dict) and isinstance(data["model"].get("vocab"), dict | list):
        return TokenizerFile(path, "hf-json")
    if data and all(isinstance(value, int) and not isinstance(value, bool) for value in data.values()):
        return TokenizerFile(path, "vits")
    raise AmttsError(f"{path} is a JSON file, but no tokenizer", remedy=f"Expected {_EXPECTED}")


def _is_sentencepiece(path: Path) -> bool:
    from amtts_core.text.foreign.sentencepiece_model import open_model

    try:
        return bool(open_model(path.read_bytes()).get_piece_size())
    except ValueError:
        return False


def load_vocab_mapping(path: Path | str) -> dict[str, int]:
    """Token string -> id, from any tokenizer file or folder.

    Raises:
        AmttsError: not a tokenizer, damaged, or two tokens share an id.
    """
    found = tokenizer_file(Path(path))
    if found.kind in ("amtts", "fidel"):
        read_settings(found.path)
        symbols = load_tokenizer(found.path).symbols()
        return {symbol: number for number, symbol in enumerate(symbols)}
    if found.kind == "sentencepiece":
        from amtts_core.text.foreign.sentencepiece_model import pieces

        return {piece: number for number, piece in enumerate(pieces(found.path.read_bytes(), found.path))}
    data = read_json(found.path)
    try:
        vocabulary = hf_vocabulary(data) if found.kind == "hf-json" else dict(data)
    except ValueError as fault:
        raise AmttsError(f"tokenizer {found.path} is damaged: {fault}") from None
    check_ids(vocabulary, found.path)
    return vocabulary


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
    """Rows that a table for this vocabulary has: one more than the highest id."""
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
