"""Any tokenizer of Hugging Face `tokenizers` as it is: no language tag, no marks, no letters of ours.

What a published folder holds (`tokenizer.json`, or `vocab.json` and `merges.txt` as GPT-2 has them) becomes one file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer_format import TokenizerFormat
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.published.hf_file import is_hf_file, open_tokenizer
from amtts_core.tokenizers.published.vocabulary import refuse_tag
from amtts_core.tokenizers.settings import damaged, read_model, write_model

VOCAB, MERGES = "vocab.json", "merges.txt"
"""Files of a GPT-2 tokenizer."""
NONE = -1
"""Stands for an id that the vocabulary has not."""


class PlainHfTokenizer:
    """See the module.

    Args:
        data: content of a `tokenizer.json`.

    Raises:
        ValueError: `data` is none.
    """

    kind = "hf-plain"

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self._tokenizer = open_tokenizer(data)
        self._vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        model = data["model"]
        self.unk_id = self._vocabulary.get(model.get("unk_token") or "", NONE)
        end = self._vocabulary.get("<|endoftext|>", 0)
        self.bos_id = self.eos_id = self.pad_id = end

    @property
    def vocab_size(self) -> int:
        """See `TextTokenizer`."""
        return max(self._vocabulary.values()) + 1

    def encode(self, text: str) -> list[int]:
        """See `TextTokenizer`."""
        text = text.encode("utf-8", errors="replace").decode("utf-8")
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer`."""
        known = [number for number in ids if 0 <= number < self.vocab_size]
        return str(self._tokenizer.decode(known, skip_special_tokens=True))

    def symbols(self) -> list[str]:
        """See `TextTokenizer`; an id without a token shows as `[ROW n]`."""
        names = {number: name for name, number in self._vocabulary.items()}
        return [names.get(number, f"[ROW {number}]") for number in range(self.vocab_size)]

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        write_model(folder, self.kind, self._serialized(), {"vocab_size": self.vocab_size})

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        return hashlib.sha256(self.kind.encode() + b"\0" + self._serialized()).hexdigest()

    def _serialized(self) -> bytes:
        return json.dumps(self.data, ensure_ascii=False, sort_keys=True).encode("utf-8")

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to worker processes as the file's content."""
        return (PlainHfTokenizer, (self.data,))


def load(folder: Path, settings: dict[str, Any]) -> PlainHfTokenizer:
    """The stored tokenizer."""
    model = read_model(folder, settings)
    try:
        return PlainHfTokenizer(json.loads(model))
    except (ValueError, KeyError, TypeError) as fault:
        raise damaged(folder, str(fault)) from None


def is_hf_or_gpt2(path: Path) -> bool:
    """See `TokenizerFormat.recognizes`: any `tokenizer.json`, or `vocab.json` with `merges.txt` beside it."""
    return is_hf_file(path) or (path.name == VOCAB and (path.parent / MERGES).is_file())


def read_vocabulary(path: Path) -> dict[str, int]:
    """Token string -> id."""
    return dict(open_file(path)._vocabulary)


def open_file(path: Path, *, language: str = "") -> PlainHfTokenizer:
    """See `Open`; the format has no language tags."""
    refuse_tag(language, path)
    try:
        if path.name == VOCAB:
            return PlainHfTokenizer(_of_vocabulary(path.parent))
        return PlainHfTokenizer(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise AmttsError(f"tokenizer {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise AmttsError(f"tokenizer {path} cannot be used: {str(error).splitlines()[0]}") from None


def _of_vocabulary(folder: Path) -> dict[str, Any]:
    """A GPT-2 tokenizer from `vocab.json`, `merges.txt` and, where it is there, `added_tokens.json`."""
    from tokenizers import ByteLevelBPETokenizer

    try:
        made = ByteLevelBPETokenizer.from_file(str(folder / VOCAB), str(folder / MERGES))
    except Exception as fault:  # noqa: BLE001 - the library raises plain Exception
        raise ValueError(f"Hugging Face tokenizers cannot read it ({fault})") from None
    added = folder / "added_tokens.json"
    if added.is_file():
        names = json.loads(added.read_text(encoding="utf-8"))
        made.add_tokens([name for name, _ in sorted(names.items(), key=lambda item: int(item[1]))])
    found: dict[str, Any] = json.loads(made.to_str())
    return found


FORMAT = TokenizerFormat(
    description="a GPT-2 tokenizer",
    file_names=("tokenizer.json", VOCAB),
    recognizes=is_hf_or_gpt2,
    read_vocabulary=read_vocabulary,
    open=open_file,
)
