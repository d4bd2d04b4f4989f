"""Amharic letters to IPA (reference 1.9): lexicon, gemination marks, and a rule for the vowel ɨ.

The script leaves two things out: which consonants are long, and whether a sixth order letter carries ɨ. Length comes
from the lexicon or from the mark U+135F after a letter; ɨ from the shape of the consonant cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from amtts_core.text import tables
from amtts_core.text.amharic.gemination import has_mark, mark_length
from amtts_core.text.amharic.letters import PACKAGE, STRAY
from amtts_core.text.ethiopic import LETTER, decompose

_VOWELS = ("ə", "u", "i", "a", "e", "ɨ", "o")
_GUTTURALS = frozenset("ሀሐኀአዐ")
"""First order letters that are read /a/, like the fourth order."""
_LENGTH_MARKS = "\u135d\u135f"
_WORD = re.compile(f"[{LETTER}\u135d-\u135f]+")
_MARKS = str.maketrans({"።": ".", "፣": ",", "፤": ";", "፦": ":", "፧": "?", "፡": " "})


@dataclass
class Sound:
    """One letter on its way to IPA."""

    consonant: str
    vowel: str
    long: bool = False
    open: bool = False
    """The letter is of the sixth order, so the rule may give it ɨ."""


def to_ipa(text: str, *, lexicon: Mapping[str, str] | None = None) -> str:
    """A text in IPA, word by word; clause marks become ASCII marks, anything else stays.

    Args:
        text: best a normalized text, with gemination marks kept where there are any.
        lexicon: word to IPA; wins over the list of lengthened words, which wins over the rules.
    """
    own = lexicon or {}

    def read(match: re.Match[str]) -> str:
        return own.get(match[0]) or word_to_ipa(match[0])

    return _WORD.sub(read, text).translate(_MARKS)


@lru_cache(maxsize=16384)
def word_to_ipa(word: str) -> str:
    """One word: its long consonants by its marks, or else by list and rule; the vowel ɨ by rule."""
    sounds = _sounds(word if has_mark(word) else mark_length(word))
    _place_vowels(sounds)
    return "".join(s.consonant + ("ː" if s.long else "") + s.vowel for s in sounds)


@cache
def _letter_sounds(letter: str) -> tuple[str, str]:
    """Consonant and vowel of a letter; the vowel of the sixth order is ɨ until the rule decides."""
    consonants = tables.pairs(PACKAGE, "phonemes.tsv")
    row, order = decompose(letter)
    consonant = consonants[row]
    if letter in _GUTTURALS:
        return consonant, "a"
    if letter == "ኧ":
        return consonant, "ə"
    return (f"{consonant}ʷ", "a") if order == 8 else (consonant, _VOWELS[order - 1])


def _sounds(word: str) -> list[Sound]:
    sounds: list[Sound] = []
    for letter in "".join(STRAY.get(character, character) for character in word):
        if letter in _LENGTH_MARKS:
            if sounds:
                sounds[-1].long = True
        elif letter != "\u135e":
            consonant, vowel = _letter_sounds(letter)
            fixed = vowel != "ɨ" or (consonant == "ʔ" and not sounds)
            sounds.append(Sound(consonant, vowel if fixed else "", open=not fixed))
    return sounds


def _place_vowels(sounds: list[Sound]) -> None:
    """Gives ɨ to the letters of every run of open letters, by the run's place in the word."""
    start = 0
    while start < len(sounds):
        if not sounds[start].open:
            start += 1
            continue
        end = start
        while end < len(sounds) and sounds[end].open:
            end += 1
        run = sounds[start:end]
        if start == 0 and end == len(sounds):
            run[0].vowel = "ɨ"
            _close_word(run[1:])
        elif start == 0:
            _open_word(run, before_long=sounds[end].long)
        elif end == len(sounds):
            _close_word(run)
        else:
            _between_vowels(run, before_long=sounds[end].long)
        start = end


def _open_word(run: list[Sound], *, before_long: bool) -> None:
    """At the beginning ɨ stands after the 1st, 3rd …; before a long consonant after the last, the last but two …"""
    for sound in run[:: -2 if before_long else 2]:
        sound.vowel = "ɨ"
    if not run[0].vowel and not (len(run) > 1 and run[1].consonant in "rl"):
        run[0].vowel = "ɨ"


def _between_vowels(run: list[Sound], *, before_long: bool) -> None:
    """VC.CɨC.CV; a long consonant needs a vowel behind it, or before it where it begins a syllable (`ማንኛ` manɨɲːa)."""
    for place, sound in enumerate(run):
        if place % 2 or sound.long or (before_long and place == len(run) - 1):
            sound.vowel = "ɨ"


def _close_word(run: list[Sound]) -> None:
    """Word-final consonants after a vowel: a pair of falling sonority stays, any other takes ɨ."""
    if len(run) < 2:
        return
    if len(run) == 2:
        if run[0].long or not _falls(run[0].consonant, run[1].consonant):
            run[0].vowel = "ɨ"
        return
    if len(run) == 3 and _falls(run[1].consonant, run[2].consonant) and not run[1].long:
        run[0].vowel = "ɨ"
        return
    run[1].vowel = "ɨ"
    _close_word(run[2:])


def _falls(first: str, second: str) -> bool:
    """True for clusters such as -nd, -rt, -lk, -st."""
    before, after = _sonority(first), _sonority(second)
    return before > after or (before == after <= 2 and first != second)


def _sonority(consonant: str) -> int:
    for level, sounds in ((5, "jw"), (4, "rl"), (3, "mnɲŋ")):
        if consonant[0] in sounds:
            return level
    return 2 if consonant[0] in "szʃʒfvh" else 1
