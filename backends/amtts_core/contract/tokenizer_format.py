"""What a backend declares about the tokenizer files that come with its published weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from amtts_core.contract.tokenizer import TextTokenizer

Letters = Literal["whole", "cv"]
"""How an Ethiopic letter is written: one symbol, or a consonant and a vowel symbol."""
Encode = Callable[[str], Sequence[int]]
"""Token ids of a text."""


@dataclass(frozen=True, kw_only=True)
class Addition:
    """Symbols to add to a vocabulary, in the order they are wanted.

    Attributes:
        source: what the user typed.
        symbols: different strings; a space inside a piece is written ▁.
        letters: how they write an Ethiopic letter.
        completed: number of Ethiopic letters that were added because the tokenizer named by `source` lacks them.
        left_out: symbols of that tokenizer that are not Ethiopic: they would change the ids of existing text.
    """

    source: str
    symbols: tuple[str, ...]
    letters: Letters = "whole"
    completed: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ExtendedTokenizer:
    """A tokenizer file before and after symbols were added.

    Attributes:
        old: token string -> id before.
        new: token string -> id after.
        same_as: new token -> old token whose embedding it copies.
        consonants: new tokens that stand for a consonant alone.
        left_out: symbol that was not added -> reason.
        encode_old: ids before, of a text as the model's own program reads it.
        encode_new: ids after; existing text must keep its ids.
        texts: old tokens as they occur in text.
        tokenizer: the extended one as amtts uses and stores it.
        files: name -> content of the extended files in the published format; the vocabulary's file comes first.
    """

    old: dict[str, int]
    new: dict[str, int]
    same_as: dict[str, str]
    consonants: tuple[str, ...]
    left_out: dict[str, str]
    encode_old: Encode
    encode_new: Encode
    texts: tuple[str, ...]
    tokenizer: TextTokenizer
    files: dict[str, bytes]


class Open(Protocol):
    """Opens a tokenizer file."""

    def __call__(self, path: Path, *, language: str = "") -> TextTokenizer:
        """The file as amtts uses it.

        Args:
            path: the file.
            language: whose tag comes before every text, such as "en", where the format has tags; empty puts none.

        Raises:
            AmttsError: it is damaged, or lacks special tokens or the tag.
        """
        ...


class Extend(Protocol):
    """Adds symbols to a tokenizer file."""

    def __call__(
        self, path: Path, addition: Addition, *, reuse: bool, pad_to: int, language: str
    ) -> ExtendedTokenizer:
        """The extended tokenizer; the file stays as it is.

        Args:
            path: the file.
            addition: symbols to add; those that it has already are passed over.
            reuse: give new symbols the ids of tokens that no text can contain, instead of ids behind the last one.
            pad_to: number of tokens to fill up to with placeholders; 0 fills nothing.
            language: language whose tag is added, such as "am"; empty adds none.

        Raises:
            AmttsError: the file is not of this format, or the symbols do not fit into it.
        """
        ...


class Train(Protocol):
    """Trains a tokenizer in the file format, and with the special ids, of the published weights."""

    def __call__(
        self, kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
    ) -> TextTokenizer:
        """Arguments and errors as in `amtts_core.tokenizers.factory.train_tokenizer`."""
        ...


@dataclass(frozen=True, kw_only=True)
class TokenizerFormat:
    """A file format of published tokenizers.

    Attributes:
        description: for messages, with its article: "a SentencePiece model".
        file_names: names of the file in a folder, the likeliest first.
        recognizes: whether a file is of this format; never raises for a file that can be read.
        read_vocabulary: token string -> id of a file that `recognizes` accepts; an `AmttsError` where it is damaged.
        open: the file as amtts uses it; an `AmttsError` where it is damaged or its special tokens are missing.
        extend: adds symbols, for `amtts extend-vocab`; None: it is used as it is.
        train: for `amtts tokenize --backend`; None: tokenizers for such a backend are trained in amtts' own format.
    """

    description: str
    file_names: tuple[str, ...]
    recognizes: Callable[[Path], bool]
    read_vocabulary: Callable[[Path], dict[str, int]]
    open: Open
    extend: Extend | None = None
    train: Train | None = None
