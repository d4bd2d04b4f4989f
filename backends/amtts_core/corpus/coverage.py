"""How well a tokenizer fits a corpus: unknown tokens, tokens per second and word, letters and pieces never seen.

Reads utterances as a stream; what it keeps grows with the number of different characters, not with the corpus.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.corpus.manifest import Utterance
from amtts_core.text.amharic.letter_table import fidel_table, homophone
from amtts_core.units import Seconds

_NO_TEXT = ("<0x", "[PLACEHOLDER_", "<unused_")
"""Beginnings of pieces that stand for no text: bytes, and what fills a vocabulary up."""
_ETHIOPIC_LANGUAGES = {"am", "ti", "gez", "tig", "sgw"}


@dataclass(kw_only=True)
class TextStatistics:
    """Counts over one or several manifests."""

    utterances: int = 0
    seconds: Seconds = 0.0
    words: int = 0
    characters: int = 0
    tokens: int = 0
    unk_tokens: int = 0
    unknown_characters: Counter[str] = field(default_factory=Counter)
    """Characters the vocabulary cannot write, with how often they occur."""

    @property
    def unk_ratio(self) -> float:
        """Share of the tokens that are unknown."""
        return self.unk_tokens / self.tokens if self.tokens else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of speech."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_word(self) -> float:
        """Tokens per word, spaces and punctuation included."""
        return self.tokens / self.words if self.words else 0.0

    def to_json(self) -> dict[str, Any]:
        """Counts and ratios by name."""
        return {
            "utterances": self.utterances,
            "seconds": round(self.seconds, 3),
            "words": self.words,
            "characters": self.characters,
            "tokens": self.tokens,
            "unk_tokens": self.unk_tokens,
            "unk_ratio": self.unk_ratio,
            "tokens_per_second": round(self.tokens_per_second, 3),
            "tokens_per_word": round(self.tokens_per_word, 3),
            "unknown_characters": {
                character.encode("utf-8", "backslashreplace").decode(): count
                for character, count in self.unknown_characters.most_common()
            },
        }


@dataclass(frozen=True, kw_only=True)
class TokenizerReport:
    """What `amtts tokenize` prints and stores."""

    kind: str
    vocab_size: int
    fingerprint: str
    train: TextStatistics
    held_out: TextStatistics
    """Validation and test texts; all counts are 0 where there are none."""
    letters_seen: int
    """Letters of the 33 x 7 table that occur in the training texts, themselves or as an Amharic homophone."""
    letters_never_seen: tuple[str, ...]
    pieces_never_used: tuple[str, ...]
    """Pieces that no training text encodes to, without special and byte pieces."""
    ethiopic_text: bool
    """False where the corpus is in a language of the Ethiopic script and holds not one letter of it."""

    @property
    def unk_ratio(self) -> float:
        """The worse of training and held-out text."""
        return max(self.train.unk_ratio, self.held_out.unk_ratio)

    @property
    def unknown_characters(self) -> Counter[str]:
        """Unknown characters of training and held-out texts together."""
        return self.train.unknown_characters + self.held_out.unknown_characters

    def to_json(self) -> dict[str, Any]:
        """Everything above by name."""
        return {
            "kind": self.kind,
            "vocab_size": self.vocab_size,
            "fingerprint": self.fingerprint,
            "unk_ratio": self.unk_ratio,
            "train": self.train.to_json(),
            "held_out": self.held_out.to_json(),
            "letters": len(fidel_table()),
            "letters_seen": self.letters_seen,
            "letters_never_seen": list(self.letters_never_seen),
            "pieces_never_used": list(self.pieces_never_used),
        }


def measure(
    tokenizer: TextTokenizer, train: Iterable[Utterance], *, held_out: Iterable[Utterance] = ()
) -> TokenizerReport:
    """Encodes every utterance's spoken text and reports how that went."""
    used: set[int] = set()
    seen: set[str] = set()
    languages: set[str] = set()
    statistics = _count(tokenizer, train, used, seen, languages)
    rest = _count(tokenizer, held_out, set(), set(), set())
    sounding = {homophone(letter) for letter in seen & set(fidel_table())} if languages <= {"am"} else set()
    missing = tuple(
        letter for letter in fidel_table() if letter not in seen and homophone(letter) not in sounding
    )
    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    return TokenizerReport(
        kind=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        fingerprint=tokenizer.fingerprint(),
        train=statistics,
        held_out=rest,
        letters_seen=len(fidel_table()) - len(missing),
        letters_never_seen=missing,
        pieces_never_used=tuple(
            piece
            for number, piece in enumerate(tokenizer.symbols())
            if number not in used and number not in special and not piece.startswith(_NO_TEXT)
        ),
        ethiopic_text=not languages & _ETHIOPIC_LANGUAGES or any(map(_is_ethiopic_letter, seen)),
    )


def _count(
    tokenizer: TextTokenizer,
    utterances: Iterable[Utterance],
    used: set[int],
    seen: set[str],
    languages: set[str],
) -> TextStatistics:
    """Statistics of a stream; what it meets is added to `used`, `seen` and `languages`."""
    found = TextStatistics()
    unknown: dict[str, bool] = {}
    for utterance in utterances:
        text = utterance.spoken_text()
        ids = tokenizer.encode(text)
        found.utterances += 1
        found.seconds += utterance.duration
        found.words += len(text.split())
        found.characters += len(text)
        found.tokens += len(ids)
        used.update(ids)
        seen.update(text)
        languages.add(utterance.lang)
        if missed := ids.count(tokenizer.unk_id):
            found.unk_tokens += missed
            for character in text:
                if character not in unknown:
                    unknown[character] = tokenizer.unk_id in tokenizer.encode(character)
                if unknown[character]:
                    found.unknown_characters[character] += 1
    return found


def _is_ethiopic_letter(character: str) -> bool:
    return unicodedata.name(character, "").startswith("ETHIOPIC SYLLABLE")
