"""Finds a tokenizer file of any installed format, by what the file holds and not by its name, and its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amtts_core.contract.tokenizer_format import TokenizerFormat
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.published.vocabulary import json_object, read_json
from amtts_core.tokenizers.registry import published_formats
from amtts_core.tokenizers.settings import SETTINGS_FILE

AMTTS = "an amtts tokenizer"


@dataclass(frozen=True)
class TokenizerFile:
    """Where a tokenizer is stored: a file of a published format, or a folder of amtts, whose `format` is None."""

    path: Path
    format: TokenizerFormat | None

    @property
    def description(self) -> str:
        """What it is, for messages."""
        return self.format.description if self.format else AMTTS


def tokenizer_file(path: Path, *, prefer: TokenizerFormat | None = None) -> TokenizerFile:
    """Finds and recognizes a tokenizer.

    Args:
        path: a file, or a folder that holds one.
        prefer: format that is tried before all others; it need not be registered.

    Raises:
        AmttsError: nothing is there, or it is of no installed format.
    """
    formats = [*([prefer] if prefer else []), *published_formats()]
    expected = f"Expected {', '.join(dict.fromkeys([AMTTS, *(known.description for known in formats)]))}"
    if path.is_dir():
        found = _file_in(path, formats)
        if found is None:
            raise AmttsError(f"no tokenizer in {path}", remedy=expected)
        path = found
    if not path.is_file():
        raise AmttsError(f"no tokenizer at {path}: there is no such file", remedy=expected)
    is_json = path.read_bytes()[:64].lstrip().startswith(b"{")
    if is_json:
        read_json(path)  # says what is wrong with a damaged one
    if _is_of_amtts(path):
        return TokenizerFile(path.parent, None)
    for known in formats:
        if known.recognizes(path):
            return TokenizerFile(path, known)
    what = "is a JSON file, but no tokenizer" if is_json else "is no tokenizer"
    raise AmttsError(f"{path} {what}", remedy=expected)


def _file_in(folder: Path, formats: Sequence[TokenizerFormat]) -> Path | None:
    if _is_of_amtts(folder / SETTINGS_FILE):
        return folder / SETTINGS_FILE
    names = [*(name for known in formats for name in known.file_names), SETTINGS_FILE]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _is_of_amtts(path: Path) -> bool:
    data = json_object(path) if path.is_file() else None
    return data is not None and isinstance(data.get("kind"), str) and "format" in data


def load_vocab_mapping(path: Path | str) -> dict[str, int]:
    """Token string -> id, from any tokenizer file or folder.

    Raises:
        AmttsError: not a tokenizer, damaged, or two tokens share an id.
    """
    return read_vocabulary(tokenizer_file(Path(path)))


def read_vocabulary(file: TokenizerFile) -> dict[str, int]:
    """Token string -> id of a recognized file; errors as `load_vocab_mapping`."""
    if file.format is not None:
        return file.format.read_vocabulary(file.path)
    return {symbol: number for number, symbol in enumerate(load_tokenizer(file.path).symbols())}
