"""What a text tokenizer is, how one is trained and loaded. Knows the kinds by name, imports one when used."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from amtts_core.contract.tokenizer import Layout, TextTokenizer
from amtts_core.tokenizers.kinds import check_kind
from amtts_core.tokenizers.settings import read_settings

_MODULES = {
    "fidel": "amtts_core.tokenizers.fidel",
    "unigram": "amtts_core.tokenizers.sentencepiece",
    "bpe": "amtts_core.tokenizers.sentencepiece",
    "char": "amtts_core.tokenizers.sentencepiece",
}
"""One a kind of `KINDS`; each has a `train` and a `load` function."""
_FOREIGN = {
    "hf-json": "amtts_core.tokenizers.published.hf_json",
    "hf-plain": "amtts_core.tokenizers.published.hf_plain",
    "sentencepiece": "amtts_core.tokenizers.published.sentencepiece_model",
    "vits": "amtts_core.tokenizers.published.vits_vocab",
}
"""One a kind of `FOREIGN_KINDS`; each has a `load` function."""


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
        from amtts_core.tokenizers.published import trained

        return trained.train(
            layout, kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed
        )
    tokenizer: TextTokenizer = importlib.import_module(_MODULES[kind]).train(
        kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed
    )
    return tokenizer
