"""The `fidel` tokenizer: a consonant symbol and a vowel symbol for each letter; nothing is learned from texts.

Few symbols, each seen several times more often than a whole letter: the choice for small corpora.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.tokenizer_format import Addition
from amtts_core.errors import AmttsError
from amtts_core.tokenizers import fidel_alphabet
from amtts_core.tokenizers.settings import BOS, EOS, PAD, SPECIALS, UNK, damaged, write_settings

T = TypeVar("T", bound=TextTokenizer)
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
"""Tokens of single bytes, as SentencePiece names them."""
_UNKNOWN = "⁇"


class FidelTokenizer:
    """See the module. Symbols beyond the built-in ones stand for themselves in the text, the longest first.

    Args:
        symbols: token strings in the order of their ids; the four specials come first.

    Raises:
        ValueError: a symbol occurs twice or is empty, or the specials are not the first four.
    """

    kind = "fidel"
    pad_id, unk_id, bos_id, eos_id = PAD, UNK, BOS, EOS

    def __init__(self, symbols: Sequence[str]) -> None:
        if tuple(symbols[:4]) != SPECIALS:
            raise ValueError(f"the first four symbols are {list(symbols[:4])}, expected {list(SPECIALS)}")
        self._symbols = list(symbols)
        self._ids = {symbol: number for number, symbol in enumerate(symbols)}
        if len(self._ids) != len(self._symbols) or "" in self._ids:
            raise ValueError("a symbol is empty or occurs twice")
        parts = {*SPECIALS, *BYTES, *fidel_alphabet.VOWELS, *fidel_alphabet.consonants()}
        literals = [symbol for symbol in self._symbols if symbol not in parts]
        self._spelling: dict[str, list[int]] = {
            letter: [self._ids[part] for part in spelling]
            for letter, spelling in fidel_alphabet.spellings().items()
            if all(part in self._ids for part in spelling)
        }
        self._spelling |= {literal: [self._ids[literal]] for literal in literals}
        self._written = {tuple(ids): text for text, ids in self._spelling.items()}
        for consonant in fidel_alphabet.consonants():  # a model may leave its vowel out
            if consonant in self._ids:
                self._written.setdefault((self._ids[consonant],), consonant)
        self._byte_ids = (
            [self._ids[name] for name in BYTES] if all(name in self._ids for name in BYTES) else []
        )
        longer = sorted((literal for literal in literals if len(literal) > 1), key=len, reverse=True)
        self._longer = re.compile("|".join([*map(re.escape, longer), "."]), re.DOTALL) if longer else None

    @property
    def vocab_size(self) -> int:
        """See `TextTokenizer`."""
        return len(self._symbols)

    def encode(self, text: str) -> list[int]:
        """See `TextTokenizer`."""
        ids: list[int] = []
        for piece in self._longer.findall(text) if self._longer else text:
            known = self._spelling.get(piece)
            ids.extend(self._unknown(piece) if known is None else known)
        return ids

    def _unknown(self, piece: str) -> list[int]:
        if not self._byte_ids:
            return [self.unk_id]
        return [self._byte_ids[value] for value in piece.encode("utf-8", errors="replace")]

    def decode(self, ids: Sequence[int]) -> str:
        """See `TextTokenizer`. A vowel without a consonant has no letter and is passed over."""
        return b"".join(self._pieces(ids)).decode("utf-8", errors="replace")

    def _pieces(self, ids: Sequence[int]) -> Iterator[bytes]:
        bytes_of = {number: bytes([value]) for value, number in enumerate(self._byte_ids)}
        at = 0
        while at < len(ids):
            for length in (3, 2, 1):
                written = self._written.get(tuple(ids[at : at + length]))
                if written is not None:
                    yield written.encode("utf-8", errors="replace")
                    break
            else:
                length = 1
                if ids[at] == self.unk_id:
                    yield _UNKNOWN.encode()
                else:
                    yield bytes_of.get(ids[at], b"")
            at += length

    def symbols(self) -> list[str]:
        """See `TextTokenizer`."""
        return list(self._symbols)

    def save(self, folder: Path) -> None:
        """See `TextTokenizer`."""
        write_settings(folder, self.kind, {"symbols": self._symbols})

    def fingerprint(self) -> str:
        """See `TextTokenizer`."""
        return hashlib.sha256(json.dumps([self.kind, self._symbols]).encode()).hexdigest()


def default_symbols(*, byte_fallback: bool = False) -> list[str]:
    """The symbols of a new fidel tokenizer, in the order of their ids."""
    symbols = [*SPECIALS, *fidel_alphabet.VOWELS, *fidel_alphabet.consonants(), *fidel_alphabet.PLAIN]
    return [*symbols, *BYTES] if byte_fallback else symbols


def train(
    kind: str, texts: Iterable[str], *, vocab_size: int | None, byte_fallback: bool, seed: int
) -> FidelTokenizer:
    """A fidel tokenizer; it is the same for all texts, which are not read."""
    symbols = default_symbols(byte_fallback=byte_fallback)
    if vocab_size is not None and vocab_size != len(symbols):
        raise AmttsError(
            f"vocabulary size {vocab_size}: the {kind} tokenizer always has {len(symbols)} symbols",
            remedy="Leave --vocab-size out, or choose --kind unigram, bpe or char",
        )
    return FidelTokenizer(symbols)


def check_fidel_size(tokenizer: T, vocab_size: int | None) -> T:
    """A tokenizer that a backend makes from a fixed set of symbols, where `vocab_size` is its size or None.

    Raises:
        AmttsError: another size is asked for.
    """
    if vocab_size is not None and vocab_size != tokenizer.vocab_size:
        raise AmttsError(
            f"vocabulary size {vocab_size}: the fidel tokenizer of this backend always has "
            f"{tokenizer.vocab_size} symbols",
            remedy="Leave --vocab-size out, or choose --kind unigram, bpe or char",
        )
    return tokenizer


def add_symbols(tokenizer: FidelTokenizer, addition: Addition) -> tuple[FidelTokenizer, dict[str, str]]:
    """See `amtts_core.tokenizers.registry`; what it can write already is left out."""
    known = tokenizer.symbols()
    wanted = [
        name for name in addition.symbols if tokenizer.unk_id in tokenizer.encode(name) and name not in known
    ]
    left_out = {
        name: "it can be written already" for name in addition.symbols if name not in {*known, *wanted}
    }
    return FidelTokenizer([*known, *dict.fromkeys(wanted)]), left_out


def load(folder: Path, settings: dict[str, Any]) -> FidelTokenizer:
    """The stored fidel tokenizer."""
    symbols = settings.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise damaged(folder, "its list of symbols is missing")
    try:
        return FidelTokenizer(symbols)
    except ValueError as fault:
        raise damaged(folder, str(fault)) from None
