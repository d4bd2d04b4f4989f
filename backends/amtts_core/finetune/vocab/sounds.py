"""Which existing tokens have the sounds of a new symbol: its embedding starts as their mean. ለ has `l` and `ə`.

A symbol is a list of sounds; each sound has alternatives, the closest first, and each alternative is one or more
token strings that must all be in the old vocabulary (IPA where the model knows IPA, else a Latin spelling).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache

from amtts_core.text import tables
from amtts_core.text.amharic.letters import PACKAGE
from amtts_core.tokenizers.fidel_alphabet import VOWELS, spellings

Alternatives = tuple[tuple[str, ...], ...]

_LATIN = {
    "ʃ": ("s", "h"), "ʒ": ("z", "h"), "ɲ": ("n", "y"), "ŋ": ("n", "g"), "t͡ʃ": ("c", "h"), "d͡ʒ": ("j",),
    "j": ("y",), "ɡ": ("g",), "ʔ": ("'",), "v": ("b",), "ʷ": ("w",),
}  # fmt: skip
_EJECTIVES = {"kʼ": ("q",), "tʼ": ("t",), "t͡ʃʼ": ("c", "h"), "pʼ": ("p",), "sʼ": ("t", "s")}
_VOWELS: dict[str, tuple[str, ...]] = {
    "+ə": ("ə", "a"), "+u": ("u",), "+i": ("i",), "+a": ("a",), "+e": ("e",), "+ɨ": ("ɨ", "e", "i"), "+o": ("o",),
    "+alt": (),
}  # fmt: skip
_SIGNS = {
    "።": ".", "፠": ".", "፨": ".", "፣": ",", "፤": ";", "፥": ":", "፦": ":", "፧": "?", "፡": " ",
    "\u135f": "ː", "\u135d": "ː", "\u135e": "ː",
}  # fmt: skip
_FALLBACK_SIGN = {";": ",", ":": ",", "?": ".", "፤": ",", "ː": "'", "v": "b", "!": "."}
_SPACES = (" ", "[SPACE]", "▁", "_")
_RELATED = ("ar", "he", "sw")
"""Languages whose tags a new language's tag starts from: two Semitic ones and an African one."""


def ingredients(symbol: str, old: Mapping[str, int], *, consonant: bool = False) -> list[str]:
    """Existing tokens whose embeddings a new symbol's embedding is the mean of; empty where none fits.

    Args:
        symbol: a character, a longer piece, a vowel symbol (`+a`, `[+a]`) or a language tag (`[am]`).
        old: token string -> id of the existing vocabulary.
        consonant: an Ethiopic letter stands for its consonant alone.
    """
    bare = symbol[1:-1] if symbol.startswith("[") and symbol.endswith("]") and len(symbol) > 2 else symbol
    if bare in VOWELS:
        return _found(_vowel(bare), old)
    if symbol != bare:
        return [tag for tag in (f"[{language}]" for language in _RELATED) if tag in old]
    found: list[str] = []
    for sign in symbol:
        found += _of_sign(sign, old, consonant=consonant)
    return found


def _of_sign(sign: str, old: Mapping[str, int], *, consonant: bool) -> list[str]:
    spelling = spellings().get(sign)
    if spelling is not None:
        sounds = _found(_consonant(spelling[0]), old)
        if not consonant:
            for vowel in spelling[1:]:
                sounds += _found(_vowel(vowel), old)
        return sounds
    if sign == "▁":
        return []  # a piece's space does not sound
    if sign in _SIGNS:
        mark = _SIGNS[sign]
        choices = _SPACES if mark == " " else (mark, _FALLBACK_SIGN.get(mark, mark), ",", ".")
        return _first([(choice,) for choice in choices], old)
    if unicodedata.category(sign) == "No":
        value = unicodedata.numeric(sign, -1.0)
        return _first([tuple(str(round(value)))], old) if value >= 0 else []
    latin = unicodedata.normalize("NFKD", sign)
    return _first([(latin,), (latin[0],), (_FALLBACK_SIGN.get(sign, sign),)], old)


@cache
def _consonant(letter: str) -> tuple[Alternatives, ...]:
    """The sounds of a consonant, by its sixth order letter."""
    sound = tables.pairs(PACKAGE, "phonemes.tsv").get(letter)
    if sound is None:
        name = unicodedata.name(letter).rsplit(" ", 1)[-1].lower().rstrip("aeiou")
        return tuple(((sign,),) for sign in name)
    rounded = sound.endswith("ʷ")
    sound = sound.removesuffix("ʷ")
    plain = sound.removesuffix("ʼ")
    latin = _EJECTIVES.get(sound) or _LATIN.get(plain) or (plain,)
    spelled: list[tuple[str, ...]] = [(sound,), (sound.replace("͡", ""),)]
    if sound != plain:
        spelled += [(plain, "ʼ"), (plain.replace("͡", ""), "ʼ"), (*plain.replace("͡", ""), "ʼ")]
    elif "͡" in plain:
        spelled.append(tuple(plain.replace("͡", "")))
    spelled += [("".join(latin),), latin, latin[:1], (plain,)]
    first: Alternatives = tuple(dict.fromkeys(spelled))
    return (first, (("ʷ",), ("w",))) if rounded else (first,)


def _vowel(symbol: str) -> tuple[Alternatives, ...]:
    """The sounds of a vowel symbol."""
    if symbol in _VOWELS:
        return (tuple((sound,) for sound in _VOWELS[symbol]),)
    if symbol == "+oa":
        return (*_vowel("+o"), *_vowel("+a"))
    if symbol == "+ya":
        return ((("j",), ("y",)), *_vowel("+a"))
    return ((("ʷ",), ("w",)), *_vowel(f"+{symbol.removeprefix('+w')}"))


def _found(sounds: tuple[Alternatives, ...], old: Mapping[str, int]) -> list[str]:
    return [token for alternatives in sounds for token in _first(alternatives, old)]


def _first(alternatives: Alternatives | list[tuple[str, ...]], old: Mapping[str, int]) -> list[str]:
    """The tokens of the first alternative of which the existing vocabulary has every part."""
    for alternative in alternatives:
        tokens = [next((name for name in _written(part) if name in old), "") for part in alternative]
        if tokens and all(tokens):
            return tokens
    return []


def _written(part: str) -> Iterator[str]:
    yield from (part, part.upper(), f"▁{part}", f"▁{part.upper()}")
