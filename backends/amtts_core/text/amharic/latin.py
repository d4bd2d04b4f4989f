"""The two stages for Latin letters: addresses and titles before the numbers, words and signs behind them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import is_bound, joint
from amtts_core.text.amharic.latin_words import is_romanized, lexicon, read
from amtts_core.text.amharic.letters import PACKAGE
from amtts_core.text.amharic.numbers import cardinal, words
from amtts_core.text.amharic.numeric_features import LATIN_BEFORE
from amtts_core.text.amharic.roman import LIST_ENTRY, read_roman, values
from amtts_core.text.amharic.romanized import words as romanized_words
from amtts_core.text.amharic.web import address_rule, tag_rules
from amtts_core.text.ethiopic import LETTER, order_of, to_order
from amtts_core.text.rules import DIGIT, LATIN, Record, Rule, Stage, Substitution, literal
from amtts_core.text.settings import NormalizerSettings

_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_LETTERS = frozenset(
    {LATIN, *map(chr, (*range(0xC0, 0xD7), *range(0xD8, 0xF7), *range(0xF8, 0x250), *range(0x1E00, 0x1F00)))}
)
_WORD = re.compile(rf"[{_LATIN}]+(?:[.&](?=[A-Z](?:[.&]|\b))[A-Z])*(?:['-][{_LATIN}]+)*")
_WORD_AND_SUFFIX = re.compile(
    rf"(?P<word>{_WORD.pattern})(?P<suffix>ኡ(?=[{LETTER}]{{0,3}}(?![{LETTER}]))|[ኦ](?=ች)|[ኣአ](?=ችን|ችሁ|ቸው|ቼ))?"
)
_VOWELS = {"ኡ": (2, "ው"), "ኦ": (7, "ዎ"), "ኣ": (4, "ያ"), "አ": (4, "ያ")}
_ENGLISH_ORDINAL = re.compile(r"([0-9])(?:st|nd|rd|th)(?![A-Za-z])")
_DEGREE = re.compile(
    r"(?<![A-Za-z.])(?P<head>Ph|[BM]|LL|[BM]BA)\.\s?(?P<tail>Sc|Ed|Com|Phil|Tech|Eng|A|B|D|M)\.?(?![A-Za-z0-9])"
)
_LATIN_PHRASES = {"e.g": "ለምሳሌ", "i.e": "ማለትም", "a.k.a": "aka", "p.s": "PS"}
_PHRASE = re.compile(r"(?<![A-Za-z.])(e\.g|i\.e|a\.k\.a|[Pp]\.[Ss])\.?(?![A-Za-z0-9])")
_LETTERS_OF_CODE = re.compile(r"(?<![A-Za-z])[A-Z]{2}(?=[0-9])")
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
        found = list(_WORD_AND_SUFFIX.finditer(text))
        table = romanized_words()
        romanized = any(match["word"].lower() in table for match in found) and is_romanized(
            [match["word"] for match in found]
        )
        out, place = [], 0
        for match in found:
            out.append(text[place : match.start()])
            out.append(self._say(match, romanized, record))
            place = match.end()
        return "".join((*out, text[place:]))

    def _say(self, match: re.Match[str], romanized: bool, record: Record | None) -> str:
        word, suffix = match["word"], match["suffix"]
        spoken, known = self._read(match, romanized)
        if spoken == word:
            return match[0]
        if suffix:
            spoken = with_vowel_suffix(spoken, suffix)
        if record is not None:
            record(KNOWN if known else GUESS, word, spoken)
        return joint(match.string, match.start()) + spoken + _gap(match)

    def _read(self, match: re.Match[str], romanized: bool) -> tuple[str, bool]:
        word = match["word"]
        if word in values() and (numeral := read_roman(word, match.string, match.start())):
            return numeral, True
        spoken, known = read(word, romanized)
        return (word, True) if self.keep_unknown and not known else (spoken, known)


def with_vowel_suffix(spoken: str, suffix: str) -> str:
    """`Linkኡ` ሊንኩ, `Videoኡ` ቪዲዮው: the vowel joins a consonant, or follows a vowel with a glide."""
    order, glided = _VOWELS[suffix]
    return spoken[:-1] + to_order(spoken[-1], order) if order_of(spoken[-1]) == 6 else spoken + glided


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
            literal("sharp", r"(?<![A-Za-z][CF])(?<=[CF])#(?![A-Za-z0-9])", " ሻርፕ ", needs="#"),
            *tag_rules(settings),
            literal("possessive", r"(?<=[A-Za-z])['’]s\b", "", words=("'s", "’s")),
            Substitution("dotted", _DEGREE, lambda m: m["head"] + m["tail"], needs=".", guard=_LETTER_DOT),
            Substitution(
                "dotted",
                _PHRASE,
                lambda m: _LATIN_PHRASES[m[1].lower()],
                words=("e.g", "i.e", "k.a", ".s", ".S"),
            ),
            Substitution("dotted", dotted, lambda match: match[1], needs=".", guard=_LETTER_DOT),
            literal(
                "number-sign",
                r"#(?=[0-9]+(?![0-9*#]))|\bN[oO]\.? ?(?=[0-9])",
                "ቁጥር ",
                words=("#", "No", "NO"),
            ),
            Substitution(
                "english-ordinal",
                _ENGLISH_ORDINAL,
                lambda match: f"{match[1]}ኛ",
                needs=DIGIT,
                words=("st", "nd", "rd", "th"),
            ),
            Substitution(
                "list-entry", LIST_ENTRY, _list_entry, needs=")", words=("i)", "v)", "x)", "I)", "V)", "X)")
            ),
        ),
        _LETTERS | {"#"},
        takes=frozenset("#"),
    )


def code_rule() -> Rule:
    """`CO2`: the letters one by one, where the list has a word of the same letters (`co`)."""

    def apart(match: re.Match[str]) -> str:
        listed = lexicon().get(match[0].lower()) and match[0] not in lexicon()
        return " ".join(match[0]) if listed else match[0]

    return Substitution("letter-names", _LETTERS_OF_CODE, apart, needs=(LATIN_BEFORE,))


def _list_entry(match: re.Match[str]) -> str:
    return f"{cardinal(values()[match['sign'].upper()])}፣"


def latin_stage(settings: NormalizerSettings) -> Stage:
    """Words, acronyms and signs."""
    signs = tables.pairs(PACKAGE, "symbols.tsv")

    def sign(match: re.Match[str]) -> str:
        said = signs[match[1]]
        before = "" if is_bound(match.string, match.start()) else " "
        return f"{before}{said}" + ("" if said.endswith(_OPEN_SIGNS) else " ")

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
