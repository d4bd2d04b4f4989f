"""IPA to Amharic letters: the other way round than `g2p.to_ipa`, for a reading that a person gives as phonemes."""

from __future__ import annotations

import unicodedata

from amtts_core.errors import AmttsError

_ROWS = {
    "h": "ሀ",
    "l": "ለ",
    "m": "መ",
    "r": "ረ",
    "s": "ሰ",
    "ʃ": "ሸ",
    "kʼ": "ቀ",
    "b": "በ",
    "v": "ቨ",
    "t": "ተ",
    "tʃ": "ቸ",
    "n": "ነ",
    "ɲ": "ኘ",
    "ʔ": "አ",
    "k": "ከ",
    "w": "ወ",
    "z": "ዘ",
    "ʒ": "ዠ",
    "j": "የ",
    "d": "ደ",
    "dʒ": "ጀ",
    "ɡ": "ገ",
    "tʼ": "ጠ",
    "tʃʼ": "ጨ",
    "pʼ": "ጰ",
    "sʼ": "ጸ",
    "f": "ፈ",
    "p": "ፐ",
}
"""Consonant to the first letter of its row."""
_VOWELS = {"ə": 0, "u": 1, "i": 2, "a": 3, "e": 4, "ɨ": 5, "o": 6}
_NO_VOWEL = 5
_ROUNDED = {"h": "ኋ", "l": "ሏ", "m": "ሟ", "r": "ሯ", "s": "ሷ", "ʃ": "ሿ", "kʼ": "ቋ", "b": "ቧ", "t": "ቷ"} | {
    "tʃ": "ቿ",
    "n": "ኗ",
    "k": "ኳ",
    "z": "ዟ",
    "d": "ዷ",
    "ɡ": "ጓ",
    "tʼ": "ጧ",
    "f": "ፏ",
}
"""Consonant, rounded, before a."""
_ALIKE = str.maketrans(
    {"g": "ɡ", "y": "j", "'": "ʼ", "’": "ʼ", "ɛ": "e", "ɜ": "ə", "ɐ": "ə", "ä": "ə", "ɾ": "r"}
)
_LENGTH = "\u135f"
_SKIPPED = frozenset("ˈˌ.\u0361\u035c‿")
_BREAKS = frozenset(" |‖,")


def from_ipa(ipa: str) -> str:
    """Phonemes in Amharic letters; long consonants get the mark U+135F, which normalization may delete.

    Raises:
        AmttsError: a sign that is no sound of Amharic.

    Example:
        >>> from_ipa("səlam")
        'ሰላም'
    """
    signs = "".join(c for c in unicodedata.normalize("NFC", ipa).translate(_ALIKE) if c not in _SKIPPED)
    out, place = "", 0
    while place < len(signs):
        if signs[place] in _BREAKS:
            out, place = out + " ", place + 1
            continue
        consonant = _consonant(signs, place)
        place += len(consonant)
        if not consonant and signs[place] not in _VOWELS:
            raise AmttsError(
                f"phoneme {signs[place]!r} of {ipa!r} is no sound of Amharic",
                remedy=f"Known: {' '.join([*_ROWS, *_VOWELS])} and ː",
            )
        consonant = consonant or "ʔ"
        long = signs[place : place + 1] in ("ː", ":") and bool(signs[place])
        place += long
        rounded = signs[place : place + 1] == "ʷ"
        place += rounded
        vowel = _VOWELS.get(signs[place : place + 1], _NO_VOWEL)
        place += signs[place : place + 1] in _VOWELS
        place += signs[place : place + 1] in ("ː", ":")  # vowels have no length
        out += _letter(consonant, vowel, rounded=rounded) + (_LENGTH if long else "")
    return " ".join(out.split())


def _consonant(signs: str, place: int) -> str:
    return next((signs[place : place + n] for n in (3, 2, 1) if signs[place : place + n] in _ROWS), "")


def _letter(consonant: str, vowel: int, *, rounded: bool) -> str:
    if rounded and vowel == _VOWELS["a"] and consonant in _ROUNDED:
        return _ROUNDED[consonant]
    if rounded:
        return chr(ord(_ROWS[consonant]) + _VOWELS["u"]) + chr(ord("ወ") + vowel)
    if consonant == "ʔ" and vowel == 0:
        return "ኧ"
    return chr(ord(_ROWS[consonant]) + vowel)
