"""What a text tokenizer offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class TextTokenizer(Protocol):
    """Normalized text to token ids and back."""

    @property
    def kind(self) -> str:
        """Its name in the entry-point group `amtts.tokenizers`."""

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
        """Ids of a normalized text; of the special ids only `unk_id` can occur."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of any sequence of ids; special ids are passed over, except that an unknown one shows as ⁇."""

    def symbols(self) -> list[str]:
        """Token strings, all different, in the order of their ids."""

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json` and, where the kind has one, `tokenizer.model` into `folder`."""

    def fingerprint(self) -> str:
        """SHA-256 in hex over what defines it: equal fingerprints encode every text alike."""
