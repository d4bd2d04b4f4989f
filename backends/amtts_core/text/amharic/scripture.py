"""Verses (`ዮሐንስ 3፡16`): chapter and verse, where a book's name stands before what would else be a time or a score."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from amtts_core.text import tables
from amtts_core.text.amharic.affixes import ordinal
from amtts_core.text.amharic.letters import any_spelling, fold_homophones
from amtts_core.text.amharic.numbers import cardinal
from amtts_core.text.amharic.numeric_features import LIST
from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Record, Rule, Substitution, literal

CHAPTER, VERSE = "ምዕራፍ", "ቁጥር"
_PACKAGE = "amtts_core.text.amharic"
_PROPHETS = (
    "ኢሳ", "ኤር", "ዳን", "ሕዝ", "ሆሴ", "ኢዮኤ", "ኢዩ", "አሞ", "አብድ", "ዮና", "ሚክ", "ናሆ", "ዕን", "ሶፎ", "ሐጌ", "ዘካ", "ሚል",
)  # fmt: skip
_WRITINGS = ("ምሳ", "ሳሙ", "ነገ", "መሳ", "ኢያ", "ሩት", "ኢዮብ", "ጦቢ", "ሲራ", "ጥበ", "መክ", "ዜና", "አስቴ", "ነህ", "ዕዝ", "ሄኖ")
_GOSPELS = ("ማቴዎስ", "ማርቆስ", "ሉቃስ", "ዮሐንስ")
_TIME_AFTER = re.compile(r"\s?(?:ሰዓት|ሰአት|ሠዓት|ላይ|ጠዋት|ማታ)")


@cache
def _books() -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    """Folded short form to full name; folded names that a number precedes; folded names that people bear."""
    short: dict[str, str] = {}
    numbered, people = set(), set()
    for name, shorts, kind in tables.rows(_PACKAGE, "scripture.tsv"):
        forms = [form for form in shorts.split(",") if form]
        short |= {_fold(form): name for form in forms if form != name}
        if "n" in kind:
            numbered |= {_fold(form) for form in (name, *forms)}
        if "p" in kind:
            people.add(_fold(name))
    return short, frozenset(numbered), frozenset(people)


def _fold(text: str) -> str:
    return fold_homophones(text.translate(str.maketrans("ቈቍ", "ቆቁ")))


def is_book(short: str) -> bool:
    """True for the short form of a book, with a number before it or not (`መዝ`, `1ቆሮ`)."""
    return _fold(short.lstrip("1234")) in _books()[0]


_VERSE_GUARD = re.compile(r"[0-9]{1,3}\s?[:፣]\s?[0-9]")
_CHAPTER_GUARD = re.compile(r"[0-9]{1,3}(?![0-9:፣.,/])")
_LAST_WORD = re.compile(rf"([{LETTER}.]+)[.።]? ?(?:ምዕ[{LETTER}.]* )?$")
_LONGEST_WORD = 24


@dataclass(frozen=True)
class AfterBook:
    """A rule for what follows the name of a book: it runs where the last word before such numbers ends one."""

    rule: Substitution
    guard: re.Pattern[str]
    needs: Iterable[str]
    name: str = "verse"

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`."""
        for match in self.guard.finditer(text):
            before = _LAST_WORD.search(text, max(0, match.start() - _LONGEST_WORD), match.start())
            if before and _ends_a_book(before[1]):
                return self.rule.apply(text, record)
        return text


@lru_cache(maxsize=4096)
def _ends_a_book(word: str) -> bool:
    folded = _fold(word.rstrip("."))
    return (
        any(form in _last_words() for form in (folded, folded[1:], folded.rpartition(".")[2]))
        or folded == "ወንጌል"
    )


@cache
def _last_words() -> frozenset[str]:
    rows = tables.rows(_PACKAGE, "scripture.tsv")
    forms = (form for row in rows for form in (row[0], *row[1].split(",")) if form)
    return frozenset(
        part for form in forms for part in (_fold(form), _fold(form.split()[-1]), _fold(form).split(".")[-1])
    )


def kind_rules() -> tuple[Rule, ...]:
    """`ት. ኢሳ` ትንቢተ, `መ/ምሳ` መጽሐፈ, `ዮሐ. ወንጌል`, `ሐዋ. ሥራ`: what kind of book it is, before a number."""
    number = rf"(?=[{LETTER}]*[.]? ?[0-9])"
    prophets = "|".join(map(any_spelling, _PROPHETS))
    writings = "|".join(map(any_spelling, _WRITINGS))
    gospels = "|".join(any_spelling(name[:2]) for name in _GOSPELS)

    def gospel(match: re.Match[str]) -> str:
        return next(name for name in _GOSPELS if _fold(name).startswith(_fold(match["short"]))) + " ወንጌል"

    return (
        literal(
            "book",
            rf"(?<![{LETTER}])ት(?:ን(?:ቢተ?)?)?[./] ?(?=(?:{prophets}){number})",
            "ትንቢተ ",
            words=("ት.", "ት/", "ን.", "ን/", "ቢ.", "ቢ/"),
        ),
        literal(
            "book",
            rf"(?<![{LETTER}])መ(?:ጽ|ፅ)?[./] ?(?=(?:{writings}){number})",
            "መጽሐፈ ",
            words=("መ.", "መ/", "መጽ.", "መጽ/", "መፅ."),
        ),
        Substitution(
            "book",
            re.compile(rf"(?P<short>{gospels})[{LETTER}]{{0,2}}[./] ?ወንጌል(?![{LETTER}])"),
            gospel,
            words=(". ወንጌል", ".ወንጌል", "/ወንጌል"),
        ),
        literal(
            "book", r"የ?[ሐሀኀሃሓ]ዋ(?:ርያት)?[./] ?[ሥስ]ራ(?= ?[0-9])", "የሐዋርያት ሥራ", words=("ዋ.", "ዋ/", "ት. ሥራ")
        ),
        literal(
            "book", rf"(?<![{LETTER}])መዝ[./] ?ዳ(?:ዊት|[./])?(?= ?[0-9])", "መዝሙረ ዳዊት", words=("መዝ.", "መዝ/")
        ),
    )


def verse_rules() -> tuple[Rule, ...]:
    """`ማቴ. 5፡3-10` ማቴዎስ ምዕራፍ 5 ቁጥር 3-10, `1ቆሮ 13፥4` አንደኛ ቆሮንቶስ …, `መዝ. 23` መዝሙር 23.

    The numbers are left to the rules behind. Before ሰዓት or ላይ it is a time: some books are called like people.
    """
    rows = tables.rows(_PACKAGE, "scripture.tsv")
    names = sorted(
        {form for row in rows for form in (row[0], *row[1].split(",")) if form}, key=len, reverse=True
    )
    book = (
        rf"(?<![{LETTER}0-9])(?P<prefix>[የበለከ])??(?:(?P<number>[1-4])(?:ኛ|ኛው)?\s?)?(?:መጽሐፈ\s)?"
        rf"(?P<book>{'|'.join(map(any_spelling, names))})(?P<gospel>\sወንጌል)?"
    )
    verse = re.compile(
        rf"{book}[.።]?\s?(?:ምዕ(?:ራፍ|\.)?\s?)?(?P<chapter>[0-9]{{1,3}})\s?[:፣]\s?"
        r"(?P<verse>[0-9]{1,3}(?:\s?-\s?[0-9]{1,3}(?![0-9]*:))?(?:[,፣]\s?[0-9]{1,3}(?![0-9:]))*)(?![0-9:])"
    )
    chapter = re.compile(rf"{book}\.\s?(?P<chapter>[0-9]{{1,3}})(?![0-9:፣.,/])")

    def named(match: re.Match[str]) -> str | None:
        short, numbered, _people = _books()
        folded = _fold(match["book"])
        name = short.get(folded, match["book"])
        if match["number"]:
            if folded not in numbered:
                return None
            name = f"{ordinal(cardinal(int(match['number'])))} {name}"
        if match["prefix"]:
            name = match["prefix"] + name.removeprefix("የ")
        return name + (match["gospel"] or "")

    def read(match: re.Match[str]) -> str:
        _short, _numbered, people = _books()
        is_time = _TIME_AFTER.match(match.string, match.end())
        name = named(match)
        if name is None or (is_time and (_fold(match["book"]) in people or "ሰ" in is_time[0])):
            return match[0]
        return f"{name} {CHAPTER} {match['chapter']} {VERSE} {match['verse'].replace('፣', ' እና ').replace(',', ' እና ')}"

    def read_chapter(match: re.Match[str]) -> str:
        name = named(match)
        return match[0] if name is None else f"{name} {match['chapter']}"

    return (
        AfterBook(Substitution("verse", verse, read), _VERSE_GUARD, needs=(":0", LIST)),
        AfterBook(Substitution("verse", chapter, read_chapter), _CHAPTER_GUARD, needs="."),
    )
