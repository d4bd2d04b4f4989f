"""SentencePiece models of published weights as amtts reads, extends and stores them (kind `sentencepiece`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.tokenizer_format import Addition, ExtendedTokenizer, Letters, TokenizerFormat
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.fidel_alphabet import consonants, spellings
from amtts_core.tokenizers.published.sentencepiece_surgery import (
    append_pieces,
    is_of_words,
    open_model,
    pieces,
    vowel_piece,
)
from amtts_core.tokenizers.published.symbols import SPACE_MARK, compose_letters
from amtts_core.tokenizers.published.vocabulary import refuse_tag
from amtts_core.tokenizers.settings import damaged, read_model, write_model


class PublishedSentencePiece:
    """A SentencePiece model with the special ids that it names itself.

    Args:
        model: the serialized model.
        letters: "cv" spells every Ethiopic letter with a consonant and a vowel piece before it encodes.

    Raises:
        ValueError: not a SentencePiece model.
    """

    kind = "sentencepiece"

    def __init__(self, model: bytes, *, letters: Letters = "whole") -> None:
        self.model = model
        self.letters: Letters = letters
        self._processor = open_model(model)
        self.unk_id = int(self._processor.unk_id())
        self.bos_id = _id_or(self._processor.bos_id(), self.unk_id)
        self.eos_id = _id_or(self._processor.eos_id(), self.unk_id)
        self.pad_id = _id_or(self._processor.pad_id(), self.eos_id)

    @property
    def vocab_size(self) -> int:
        """See `TextTokenizer`."""
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """See `TextTokenizer`."""
        if self.letters == "cv":
            text = "".join(
                "".join(vowel_piece(part) for part in spellings().get(sign, (sign,))) for sign in text
            )
        return list(self._processor.encode(text.encode("utf-8", errors="replace").decode("utf-8")))

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer`. Consonant and vowel pieces come back as letters."""
        text = str(self._processor.decode([number for number in ids if number < self.vocab_size]))
        return compose_letters(text) if self.letters == "cv" else text

    def symbols(self) -> list[str]:
        """See `TextTokenizer`."""
        return [self._processor.id_to_piece(number) for number in range(self.vocab_size)]

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        settings = {"vocab_size": self.vocab_size, "letters": self.letters}
        write_model(folder, self.kind, self.model, settings)

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        return hashlib.sha256(f"{self.kind} {self.letters}".encode() + b"\0" + self.model).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to worker processes as the serialized model."""
        return (_rebuild, (self.model, self.letters))


def _id_or(number: int, otherwise: int) -> int:
    """The id of a special piece; `otherwise` where the model has no such piece (-1)."""
    return int(number) if number >= 0 else otherwise


def _rebuild(model: bytes, letters: Letters) -> PublishedSentencePiece:
    return PublishedSentencePiece(model, letters=letters)


def add_symbols(
    tokenizer: PublishedSentencePiece, addition: Addition
) -> tuple[TextTokenizer, dict[str, str]]:
    """See `amtts_core.tokenizers.registry`."""
    change = append_pieces(tokenizer.model, addition.symbols, letters=tokenizer.letters)
    return PublishedSentencePiece(change.model, letters=tokenizer.letters), change.left_out


def is_model_file(path: Path) -> bool:
    """True for a serialized model."""
    content = path.read_bytes()
    try:
        return not content.lstrip().startswith(b"{") and bool(open_model(content).get_piece_size())
    except ValueError:
        return False


def read_vocabulary(path: Path) -> dict[str, int]:
    """See `TokenizerFormat`."""
    return {piece: number for number, piece in enumerate(pieces(path.read_bytes(), path))}


def open_file(path: Path, *, language: str = "") -> PublishedSentencePiece:
    """See `Open`; the format has no language tags."""
    refuse_tag(language, path)
    try:
        return PublishedSentencePiece(path.read_bytes())
    except ValueError as fault:
        raise AmttsError(f"tokenizer {path} is {fault}") from None


def extend_file(
    path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str
) -> ExtendedTokenizer:
    """See `Extend`; ids are only added, never reused."""
    model, old = path.read_bytes(), read_vocabulary(path)
    if is_of_words(model):
        raise AmttsError(f"tokenizer {path} is a model of whole words, to which letters cannot be added")
    tags = [f"[{language}]"] if language else []
    change = append_pieces(model, addition.symbols, letters=addition.letters, tags=tags, pad_to=pad_to)
    tokenizer = PublishedSentencePiece(change.model, letters=addition.letters)
    return ExtendedTokenizer(
        old=old,
        new={piece: number for number, piece in enumerate(tokenizer.symbols())},
        same_as={},
        consonants=consonants() if addition.letters == "cv" else (),
        left_out=change.left_out,
        encode_old=open_model(model).encode,
        encode_new=open_model(change.model).encode,
        texts=tuple(piece.replace(SPACE_MARK, " ") for piece in old if not piece.startswith("<")),
        tokenizer=tokenizer,
        files={path.name: change.model},
    )


FORMAT = TokenizerFormat(
    description="a SentencePiece model",
    file_names=("bpe.model", "tokenizer.model"),
    recognizes=is_model_file,
    read_vocabulary=read_vocabulary,
    open=open_file,
    extend=extend_file,
)
"""A family whose network expects certain special ids replaces `open` and `extend` by functions that check them."""


def load(folder: Path, settings: dict[str, Any]) -> PublishedSentencePiece:
    """The stored tokenizer."""
    model = read_model(folder, settings)
    try:
        return PublishedSentencePiece(model, letters="cv" if settings.get("letters") == "cv" else "whole")
    except ValueError as fault:
        raise damaged(folder, str(fault)) from None
