"""Trains and loads text tokenizers; imports a kind's module when it is used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.tokenizer_format import TokenizerFormat
from amtts_core.tokenizers.registry import check_kind, tokenizer_module
from amtts_core.tokenizers.settings import read_settings


def load_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer stored in `folder`.

    Raises:
        AmttsError: nothing is there, a file is missing or damaged, or the kind or format is unknown.
    """
    settings = read_settings(folder)
    tokenizer: TextTokenizer = tokenizer_module(settings["kind"]).load(folder, settings)
    return tokenizer


def train_tokenizer(
    kind: str,
    texts: Iterable[str],
    *,
    vocab_size: int | None = None,
    byte_fallback: bool = False,
    seed: int = 0,
    format: TokenizerFormat | None = None,
) -> TextTokenizer:
    """A tokenizer for `texts`, which are read once, as a stream.

    Args:
        kind: one of `KINDS`, or the kind of an installed package that can be trained.
        texts: normalized texts.
        vocab_size: exact size, 100 to 20,000; None takes the kind's default, lowered to what the texts support.
        byte_fallback: write what the vocabulary lacks as UTF-8 bytes instead of the unknown token.
        seed: of the sample that is read when there are more texts than are needed.
        format: file format and special ids of published weights; None, or one that does not train: amtts' own.

    Raises:
        AmttsError: unknown kind, no text, or a size that the texts cannot fill; names the workable size.
    """
    check_kind(kind)
    if format is not None and format.train is not None:
        return format.train(kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed)
    tokenizer: TextTokenizer = tokenizer_module(kind).train(
        kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed
    )
    return tokenizer
