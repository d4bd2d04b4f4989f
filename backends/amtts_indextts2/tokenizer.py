"""IndexTTS2's tokenizer: a SentencePiece model with start 0, stop 1 and unknown 2, stored as kind `sentencepiece`.

IndexTTS2 upper-cases text and puts spaces around Chinese characters before it encodes; Ethiopic has no case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer_format import Addition, ExtendedTokenizer
from amtts_core.errors import AmttsError
from amtts_core.tokenizers import fidel_alphabet
from amtts_core.tokenizers.fidel import check_fidel_size
from amtts_core.tokenizers.published import sentencepiece_model
from amtts_core.tokenizers.published.sentencepiece_model import PublishedSentencePiece
from amtts_core.tokenizers.published.sentencepiece_surgery import vowel_piece
from amtts_core.tokenizers.sentencepiece import fidel_model, train_model

SPECIALS = (0, 1, 2)
"""Ids of start, stop and unknown."""
IDS: Mapping[str, Any] = {"bos_id": 0, "eos_id": 1, "unk_id": 2, "pad_id": -1}
"""The same for SentencePiece's trainer; -1 leaves a piece out."""


def open_file(path: Path, *, language: str = "") -> PublishedSentencePiece:
    """See `Open`; the format has no language tags.

    Raises:
        AmttsError: not a SentencePiece model, or its special ids are not `SPECIALS`.
    """
    tokenizer = sentencepiece_model.open_file(path, language=language)
    found = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id)
    if found != SPECIALS:
        raise AmttsError(
            f"tokenizer {path} is not one of IndexTTS2: its start, stop and unknown ids are {found}, IndexTTS2 has "
            f"{SPECIALS}"
        )
    return tokenizer


def extend_file(
    path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str
) -> ExtendedTokenizer:
    """See `Extend`."""
    open_file(path)
    return sentencepiece_model.extend_file(path, addition, reuse=reuse, pad_to=pad_to, language=language)


def train(
    kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
) -> PublishedSentencePiece:
    """A tokenizer for `texts`, with every Ethiopic letter forced in.

    Args:
        kind: "fidel", "unigram", "bpe" or "char"; `fidel` spells each letter as a consonant and a vowel, as `amtts
            extend-vocab --add cv` does.
        texts: normalized; not read by "fidel".
        vocab_size: exact number of ids.
        byte_fallback: bytes for what the vocabulary lacks.
        seed: of the sample of a large corpus.

    Raises:
        AmttsError: no text, or a size that the texts cannot fill.
    """
    if kind != "fidel":
        model = train_model(
            kind, texts, vocab_size=vocab_size, byte_fallback=byte_fallback, seed=seed, ids=IDS
        )
        return PublishedSentencePiece(model)
    vowels = [vowel_piece(vowel) for vowel in fidel_alphabet.VOWELS]
    model = fidel_model(vowels, byte_fallback=byte_fallback, ids=IDS)
    return check_fidel_size(PublishedSentencePiece(model, letters="cv"), vocab_size)


FORMAT = replace(sentencepiece_model.FORMAT, open=open_file, extend=extend_file, train=train)
