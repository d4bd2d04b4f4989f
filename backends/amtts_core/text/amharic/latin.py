"""The two stages for Latin letters: addresses and titles before the numbers, words and signs behind them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import joint
from amtts_core.text.amharic.latin_words import is_romanized, read
from amtts_core.text.amharic.letters import PACKAGE
from amtts_core.text.amharic.numbers import cardinal, words
from amtts_core.text.amharic.roman import LIST_ENTRY, read_roman, values
from amtts_core.text.amharic.romanized import words as romanized_words
from amtts_core.text.amharic.web import address_rule, tag_rules
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import DIGIT, LATIN, Record, Rule, Stage, Substitution, literal
from amtts_core.text.settings import NormalizerSettings

_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_LETTERS = frozenset(
    {LATIN, *map(chr, (*range(0xC0, 0xD7), *range(0xD8, 0xF7), *range(0xF8, 0x250), *range(0x1E00, 0x1F00)))}
)
_WORD = re.compile(rf"[{_LATIN}]+(?:[.&](?=[A-Z](?:[.&]|\b))[A-Z])*(?:['-][{_LATIN}]+)*")
_ENGLISH_ORDINAL = re.compile(r"([0-9])(?:st|nd|rd|th)(?![A-Za-z])")
_LETTER_DOT = re.compile(r"[A-Za-z]\.")
_LONG_SUFFIX = re.compile(f"[{LETTER}]{{4}}")
_ORDINAL_SUFFIX = re.compile("ኛ")
_OPEN_SIGNS = (" በ", " ለ")
"""Ends of a sign's reading that bind to what follows (`5 × 3` አምስት ሲባዛ በሦስት)."""
GUESS = "latin-guess"
"""What `LatinWords` reports where no list and no dictionary knows the word."""
KNOWN = "latin-word"


def titles() -> tuple[str, ...]:
    """Latin words that are written with a dot of their own (`Dr.`)."""
    return tuple(words()["latin_titles"])


@dataclass(frozen=True)
class LatinWords:
    """Reads every Latin word, with its neighbours in view; a prefix binds without a space (`የUN`, `በGDP`)."""

    keep_unknown: bool
    name: str = KNOWN

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`; a guess is reported under a name of its own."""
        found = _WORD.findall(text)
        table = romanized_words()
        romanized = any(word.lower() in table for word in found) and is_romanized(found)

        def say(match: re.Match[str]) -> str:
            word = match[0]
            spoken, known = self._read(match, romanized)
            if spoken == word:
                return word
            after = joint(match.string, match.start()) + spoken + _gap(match)
            if record is not None:
                record(KNOWN if known else GUESS, word, spoken)
            return after

        return _WORD.sub(say, text)

    def _read(self, match: re.Match[str], romanized: bool) -> tuple[str, bool]:
        word = match[0]
        if word in values() and (numeral := read_roman(word, match.string, match.start())):
            return numeral, True
        spoken, known = read(word, romanized)
        return (word, True) if self.keep_unknown and not known else (spoken, known)


def _gap(match: re.Match[str]) -> str:
    """A suffix binds to a Latin word (`UNን`); a longer run of letters is a word of its own."""
    return " " if _LONG_SUFFIX.match(match.string, match.end()) else ""


def web_stage(settings: NormalizerSettings) -> Stage:
    """Web and mail addresses and dotted titles, before numbers and abbreviations take their dots."""
    dotted = re.compile(
        rf"(?<![{_LATIN}.])((?:[A-Z]\.)+[A-Z]|(?:{'|'.join(titles())}))\.(?=\s|[{LETTER}0-9,]|$)"
    )
    return Stage(
        "latin",
        (
            address_rule(settings),
            *tag_rules(settings),
            literal("possessive", r"(?<=[A-Za-z])['’]s\b", "", words=("'s", "’s")),
            Substitution("dotted", dotted, lambda match: match[1], needs=".", guard=_LETTER_DOT),
            literal(
                "number-sign",
                r"#(?=[0-9]+(?![0-9*#]))|\bN[oO]\.? ?(?=[0-9])",
                "ቁጥር ",
                words=("#", "No", "NO"),
            ),
            Substitution("english-ordinal", _ENGLISH_ORDINAL, lambda match: f"{match[1]}ኛ", needs=DIGIT),
            Substitution(
                "list-entry", LIST_ENTRY, _list_entry, needs=")", words=("i)", "v)", "x)", "I)", "V)", "X)")
            ),
        ),
        _LETTERS | {"#"},
        takes=frozenset("#"),
    )


def _list_entry(match: re.Match[str]) -> str:
    return f"{cardinal(values()[match['sign'].upper()])}፣"


def latin_stage(settings: NormalizerSettings) -> Stage:
    """Words, acronyms and signs."""
    signs = tables.pairs(PACKAGE, "symbols.tsv")

    def sign(match: re.Match[str]) -> str:
        said = signs[match[1]]
        return f" {said}" + ("" if said.endswith(_OPEN_SIGNS) else " ")

    needs = "".join(signs)
    rules: tuple[Rule, ...] = (
        literal(
            "loose-prefix",
            rf"(?<![{LETTER}][{LETTER}])(?<=[የበለከ]) (?=[A-Z])",
            "",
            words=("የ ", "በ ", "ለ ", "ከ "),
        ),
        LatinWords(keep_unknown=settings.latin_words == "keep"),
        Substitution("sign", re.compile("([" + re.escape(needs) + r"])\s*"), sign, needs=needs),
    )
    return Stage("latin", rules, _LETTERS | frozenset(needs), takes=frozenset({LATIN}))
