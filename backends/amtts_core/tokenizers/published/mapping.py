"""Token string -> id from a tokenizer of any known kind, told apart by what the file holds, not by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.published.vocabulary import check_ids, hf_vocabulary, read_json
from amtts_core.tokenizers.settings import SETTINGS_FILE, read_settings

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
    from amtts_core.tokenizers.published.sentencepiece_model import open_model

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
        from amtts_core.tokenizers.published.sentencepiece_model import pieces

        return {piece: number for number, piece in enumerate(pieces(found.path.read_bytes(), found.path))}
    data = read_json(found.path)
    try:
        vocabulary = hf_vocabulary(data) if found.kind == "hf-json" else dict(data)
    except ValueError as fault:
        raise AmttsError(f"tokenizer {found.path} is damaged: {fault}") from None
    check_ids(vocabulary, found.path)
    return vocabulary
