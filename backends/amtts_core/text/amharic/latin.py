"""Latin words, acronyms, web addresses and signs (reference 1.8): lexicon, then letter names, then rough spelling."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import following_space, joint
from amtts_core.text.amharic.letters import PACKAGE
from amtts_core.text.amharic.numbers import digit_words
from amtts_core.text.ethiopic import LETTER, to_order
from amtts_core.text.rules import Rule, Stage, Substitution, literal
from amtts_core.text.settings import NormalizerSettings

_LATIN = "A-Za-z\u00c0-\u024f\u1e00-\u1eff"
_TITLES = "Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|vs|etc|Inc|Ltd|Co"
_WORD = re.compile(rf"[{_LATIN}]+(?:[.&](?=[A-Z](?:[.&]|\b))[A-Z])*(?:-[{_LATIN}]+)*")
_DOTTED = re.compile(rf"(?<![{_LATIN}.])((?:[A-Z]\.)+[A-Z]|{_TITLES})\.(?=\s|[{LETTER}0-9]|$)")
"""Abbreviations whose last dot belongs to them (`U.S.A.`, `Dr.`)."""
_ENGLISH_ORDINAL = re.compile(r"(?<=[0-9])(?:st|nd|rd|th)(?![A-Za-z])")
_WEB = re.compile(
    r"(?:https?://)?(?:[A-Za-z0-9_.+-]{1,64}+@)?(?:[A-Za-z0-9-]{1,63}+\.){1,8}(?:com|org|net|gov|edu|info|et|io|co|tv|uk)\b(?:\.[a-z]{2}\b)?"
    r"(?:/[A-Za-z0-9_./?=&%#-]*)?"
)
_LONG_SUFFIX = re.compile(f"[{LETTER}]{{4}}")
_WEB_SIGNS = {".": "ዶት", "@": "አት", "/": "ስላሽ", "-": "ዳሽ", "_": "አንደርስኮር"}
_VOWELS = {"a": 4, "e": 5, "i": 3, "o": 7, "u": 2, "y": 3}
_LONG = (
    ("ee", "i"),
    ("oo", "u"),
    ("ou", "u"),
    ("ea", "i"),
    ("ai", "e"),
    ("ay", "e"),
    ("ei", "e"),
    ("ie", "i"),
)
_OPEN_SIGNS = (" በ", " ለ")
"""Ends of a sign's reading that bind to what follows (`5 × 3` አምስት ሲባዛ በሦስት)."""
_ALONE = {"a": "አ", "e": "ኤ", "i": "ኢ", "o": "ኦ", "u": "ኡ"}
_ACRONYM_LENGTH = 5
GUESS = "latin-guess"
"""The rule that spells a Latin word which no lexicon knows."""


@cache
def letter_names() -> dict[str, str]:
    """Latin capital to its Amharic name."""
    return dict(tables.pairs(PACKAGE, "letter_names.tsv"))


@cache
def _lexicon() -> dict[str, str]:
    return dict(tables.pairs(PACKAGE, "latin_words.tsv"))


def spell(letters: str) -> str:
    """Letter names: `UN` is ዩ ኤን."""
    return " ".join(letter_names()[letter] for letter in letters.upper() if letter in letter_names())


@lru_cache(maxsize=8192)
def read_word(word: str, *, keep_unknown: bool = False) -> str:
    """One Latin word: lexicon, letter names for up to five capitals, else spelled by rule (or kept)."""
    if found := _lexicon().get(word.lower().rstrip(".")):
        return found
    letters = re.sub("[.&-]", "", word)
    if letters.isascii() and letters.isupper() and len(letters) <= _ACRONYM_LENGTH:
        return " ኤንድ ".join(spell(part) for part in word.split("&"))
    if "-" in word:
        return " ".join(read_word(part, keep_unknown=keep_unknown) for part in word.split("-"))
    if len(letters) == 1 and letters.isascii():
        return spell(letters)
    return word if keep_unknown else transliterate(word)


def transliterate(word: str) -> str:
    """A rough guess in fidel: doubled consonants once, silent final e dropped, accents dropped."""
    plain = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if c.isascii() and c.isalpha())
    if not plain:
        return word
    plain = re.sub(r"([^aeiou])\1", r"\1", plain)
    if len(plain) > 3 and word[-1].isascii():
        plain = re.sub("ce$", "s", re.sub("ge$", "j", plain))
        plain = re.sub(r"(?<=[^aeiou])e$", "", plain)
    for pair, single in _LONG:
        plain = plain.replace(pair, single)
    consonants = tables.pairs(PACKAGE, "latin_letters.tsv")
    out: list[str] = []
    place = 0
    while place < len(plain):
        chunk = next(
            (plain[place : place + n] for n in (3, 2, 1) if plain[place : place + n] in consonants), ""
        )
        if plain[place] == "c" and plain[place + 1 : place + 2] in tuple("eiy") and len(chunk) == 1:
            sound, width = "ስ", 1
        elif chunk and not (chunk == "y" and plain[place + 1 : place + 2] not in tuple("aeiou")):
            sound, width = consonants[chunk], len(chunk)
        else:
            out.append(_ALONE["i" if plain[place] == "y" else plain[place]])
            place += 1
            continue
        place += width
        vowel = plain[place : place + 1]
        if vowel in _VOWELS and not (vowel == "y" and plain[place + 1 : place + 2] in tuple("aeiou")):
            sound = sound[:-1] + to_order(sound[-1], _VOWELS[vowel])
            place += 1
        out.append(sound)
    return "".join(out)


def _read_web(match: re.Match[str]) -> str:
    """`info@ebc.et` ኢንፎ አት ኢ ቢ ሲ ዶት ኢ ቲ."""
    address = re.sub("^https?://", "", match[0]).rstrip("/")
    spoken: list[str] = []
    for piece in re.findall(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]", address):
        if piece.isdigit():
            spoken.append(digit_words(piece))
        elif piece.isalpha():
            known = piece.lower() in _lexicon()
            spoken.append(read_word(piece) if known or len(piece) > 3 else spell(piece))
        elif piece in _WEB_SIGNS:
            spoken.append(_WEB_SIGNS[piece])
    return joint(match.string, match.start()) + " ".join(spoken) + following_space(match)


def web_stage() -> Stage:
    """Web and mail addresses, before numbers and abbreviations take their dots."""
    return Stage(
        "latin",
        (
            Substitution("address", _WEB, _read_web, needs="."),
            literal("possessive", r"(?<=[A-Za-z])['’]s\b", "", needs="'’"),
            Substitution("dotted", _DOTTED, lambda match: match[1], needs="."),
            literal("number-sign", r"#(?=[0-9])|\bN[oO]\.? ?(?=[0-9])", "ቁጥር ", needs="#N"),
            literal("hashtag", "#(?=[^\\W_])", "ሃሽታግ ", needs="#"),
            literal("english-ordinal", _ENGLISH_ORDINAL.pattern, "ኛ", needs="snrt"),
        ),
        re.compile("[A-Za-z#]"),
    )


def latin_stage(settings: NormalizerSettings) -> Stage:
    """Words, acronyms and signs; a prefix binds without a space (`የUN`, `በGDP`)."""
    keep = settings.latin_words == "keep"
    signs = tables.pairs(PACKAGE, "symbols.tsv")

    def known(match: re.Match[str]) -> str:
        return say(match, keep_unknown=True)

    def guess(match: re.Match[str]) -> str:
        return say(match, keep_unknown=False)

    def say(match: re.Match[str], *, keep_unknown: bool) -> str:
        read = read_word(match[0], keep_unknown=keep_unknown)
        if read == match[0]:
            return read
        return joint(match.string, match.start()) + read + _gap(match)

    def sign(match: re.Match[str]) -> str:
        said = signs[match[1]]
        return f" {said}" + ("" if said.endswith(_OPEN_SIGNS) else " ")

    rules: tuple[Rule, ...] = (
        Substitution("latin-word", _WORD, known),
        *(() if keep else (Substitution(GUESS, _WORD, guess),)),
        Substitution("sign", re.compile("([" + re.escape("".join(signs)) + r"])\s*"), sign),
    )
    return Stage("latin", rules, re.compile(rf"[{_LATIN}{re.escape(''.join(signs))}]"))


def _gap(match: re.Match[str]) -> str:
    """A suffix binds to a Latin word (`UNን`); a longer run of letters is a word of its own."""
    run = _LONG_SUFFIX.match(match.string, match.end())
    return " " if run is not None else ""
