"""The text layer of documents set in old Ge'ez fonts (PowerGeez in PDF files): three rows stand one letter too early.

`ሇሁለም` is ለሁሉም and `ፌዯራሊዊ` is ፌደራላዊ: in such a text ለ is stored as ሇ, ሉ as ለ, ል as ሌ, and so are the rows of ደ and
ዘ. The letters ሇ, ዯ and the unassigned U+12D7 give it away, for Amharic never writes them; a text with one of them is
repaired, and reported; only the words with such a letter where the rest is spelled as usual (a slip of the keyboard).
Words that are no words unless they are repaired (`ክሌሌ` ክልል) are repaired without such a letter, and `ክፍሌ`, which is a
name too, beside a number or an ordinal.
"""

from __future__ import annotations

import re

from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Record, Stage, Substitution

LEGACY = "legacy-font"
_MARKERS = "ሇዯ\u12d7"
_TELLTALE = re.compile(f"[{_MARKERS}]")
_ROWS = "ሇለሉሊላሌልዯደዱዲዳዴድ"
_LATE_ROW = "\u12d7ዘዙዚዛዜዝ"
_WORDS = {
    "ክሌሌ": "ክልል", "ሌማት": "ልማት", "አገሌግልት": "አገልግሎት", "ሪፑብሉክ": "ሪፑብሊክ", "ሪፐብሉክ": "ሪፐብሊክ",
    "ዴርጅት": "ድርጅት", "ዴንጋጌ": "ድንጋጌ", "ክሌልች": "ክልሎች", "ሌዩ": "ልዩ", "ሉሆን": "ሊሆን", "ሥሌጣን": "ሥልጣን", "ስሌጣን": "ስልጣን",
    "ሥሌጠና": "ሥልጠና", "ስሌጠና": "ስልጠና", "ዯንብ": "ደንብ", "ሌጆች": "ልጆች",
}  # fmt: skip
DOUBTFUL = re.compile("|".join(("ክፍሌ", *_WORDS)))
"""Finds what may be repaired although it holds no telltale letter."""
_PREFIX = "[የበለከሇ]?"


def _later(letter: str) -> str:
    return chr(ord(letter) + 1)


_MARKED = re.compile(rf"[{LETTER}\u12d7]*[{_MARKERS}][{LETTER}\u12d7]*")
_LEGACY_OFTEN, _USUALLY_OFTEN = "ሇዯሌዴ", "ለደልድ"
"""The frequent letters of the rows, as a legacy font stores them and as everybody else writes them."""
_SLIP = re.compile(rf"ሇላ(?![{LETTER}])")
_ROOM = re.compile(rf"(?:(?<=ኛ )|(?<=[0-9] ))[የበለከ]?ክፍሌ(?![{LETTER}])|(?<![{LETTER}])[የበለከ]?ክፍሌ(?= [0-9])")


def _is_legacy(text: str) -> bool:
    """True where most of the frequent letters stand where a legacy font puts them, in words without a mark too."""
    return all(
        sum(map(part.count, _LEGACY_OFTEN)) >= sum(map(part.count, _USUALLY_OFTEN))
        for part in (text, _MARKED.sub("", text))
    )


class _Shift:
    """Moves the letters of a text with a telltale letter one place on."""

    name = LEGACY

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`."""
        rows = _ROWS + (_LATE_ROW if "\u12d7" in text else "")
        table = str.maketrans({letter: _later(letter) for letter in rows})
        if not _TELLTALE.search(text):
            return text
        if not _is_legacy(text):
            return Substitution(self.name, _MARKED, lambda match: match[0].translate(table)).apply(
                text, record
            )
        if record is not None:
            for word in text.split():
                if (repaired := word.translate(table)) != word:
                    record(self.name, word, repaired)
        return text.translate(table)


def legacy_stage() -> Stage:
    """Repairs a text with a telltale letter, `ክፍሌ` beside a number, and `በሇላ`, a slip for በኋላ."""
    room = Substitution(LEGACY, _ROOM, lambda match: match[0][:-1] + "ል", words=("ክፍሌ",))
    slip = Substitution("typo", _SLIP, lambda _match: "ኋላ", words=("ሇላ",))
    return Stage("legacy", (slip, _Shift(), room), frozenset("\u12d7"), ("ሇ", "ዯ", "ክፍሌ"))


def legacy_words() -> Substitution:
    """Repairs single words that are none as they stand."""
    pattern = re.compile(rf"^(?P<prefix>{_PREFIX})(?P<word>{'|'.join(_WORDS)})(?![{LETTER}])")
    return Substitution(
        LEGACY, pattern, lambda match: match["prefix"] + _WORDS[match["word"]], words=tuple("ሌሉዴ")
    )
