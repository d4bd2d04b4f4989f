"""What a text tokenizer offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

Layout = Literal["amtts", "sentencepiece", "hf-json"]
"""File format and special ids of a tokenizer: amtts' own, those of IndexTTS2, or those of Chatterbox."""


@runtime_checkable
class TextTokenizer(Protocol):
    """Normalised text to token ids and back."""

    @property
    def kind(self) -> str:
        """One of `KINDS`, or a kind that came with a published model."""

    @property
    def vocab_size(self) -> int:
        """Number of ids; they run from 0 to `vocab_size - 1`."""

    @property
    def pad_id(self) -> int:
        """Fills batches; no text encodes to it."""

    @property
    def unk_id(self) -> int:
        """Stands for what the vocabulary cannot write."""

    @property
    def bos_id(self) -> int:
        """Start of text, for models that want one."""

    @property
    def eos_id(self) -> int:
        """End of text, for models that want one."""

    def encode(self, text: str) -> list[int]:
        """Ids of a normalised text; of the special ids only `unk_id` can occur."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of any sequence of ids; special ids are passed over, except that an unknown one shows as ⁇."""

    def symbols(self) -> list[str]:
        """Token strings, all different, in the order of their ids."""

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json` and, where the kind has one, `tokenizer.model` into `folder`."""

    def fingerprint(self) -> str:
        """SHA-256 in hex over what defines it: equal fingerprints encode every text alike."""
