"""What a text tokenizer is, how one is trained and loaded. Knows the kinds by name, imports one when used."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from amtts_core.errors import AmttsError, nearest
from amtts_core.text.tokenizer_settings import KINDS, read_settings

Layout = Literal["amtts", "sentencepiece", "hf-json"]
"""File format and special ids of a tokenizer: amtts' own, those of IndexTTS2, or those of Chatterbox."""

_MODULES = {
    "fidel": "amtts_core.text.fidel_tokenizer",
    "unigram": "amtts_core.text.sentencepiece_tokenizer",
    "bpe": "amtts_core.text.sentencepiece_tokenizer",
    "char": "amtts_core.text.sentencepiece_tokenizer",
}
"""One a kind of `KINDS`; each has a `train` and a `load` function."""
_FOREIGN = {
    "hf-json": "amtts_core.text.foreign.hf_json",
    "sentencepiece": "amtts_core.text.foreign.sentencepiece_model",
    "vits": "amtts_core.text.foreign.vits_vocab",
}
"""One a kind of `FOREIGN_KINDS`; each has a `load` function."""


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


def load_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer stored in `folder`.

    Raises:
        AmttsError: nothing is there, a file is missing or damaged, or the kind or format is unknown.
    """
    settings = read_settings(folder)
    kind = settings["kind"]
    tokenizer: TextTokenizer = importlib.import_module((_MODULES | _FOREIGN)[kind]).load(folder, settings)
    return tokenizer


def train_tokenizer(
    kind: str,
    texts: Iterable[str],
    *,
    vocab_size: int | None = None,
    byte_fallback: bool = False,
    seed: int = 0,
    layout: Layout = "amtts",
) -> TextTokenizer:
    """A tokenizer for `texts`, which are read once, as a stream.

    Args:
        kind: one of `KINDS`.
        texts: normalised texts.
        vocab_size: exact size, 100 to 20,000; None takes the kind's default, lowered to what the texts support.
        byte_fallback: write what the vocabulary lacks as UTF-8 bytes instead of the unknown token.
        seed: draws the sample that is learnt from when there are more texts than are needed.
        layout: file format and special ids, see `BackendSpec.tokenizer_layout`.

    Raises:
        AmttsError: unknown kind, no text, or a size that the texts cannot fill; names the workable size.
    """
    check_kind(kind)
    if layout != "amtts":
        from amtts_core.text.foreign import trained

        return trained.train(
            layout, kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed
        )
    tokenizer: TextTokenizer = importlib.import_module(_MODULES[kind]).train(
        kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed
    )
    return tokenizer


def check_kind(kind: str) -> None:
    """Refuses a kind that is not in `KINDS`, with the nearest one."""
    if kind not in KINDS:
        raise AmttsError(
            f"unknown tokenizer kind {kind!r}{nearest(kind, KINDS)}",
            remedy=f"Choose one of: {', '.join(KINDS)}",
        )
