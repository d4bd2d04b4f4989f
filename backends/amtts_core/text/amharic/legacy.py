"""The text layer of documents set in old Ge'ez fonts (PowerGeez in PDF files): three rows stand one letter too early.

`ሇሁለም` is ለሁሉም and `ፌዯራሊዊ` is ፌደራላዊ: in such a text ለ is stored as ሇ, ሉ as ለ, ል as ሌ, and so are the rows of ደ and
ዘ. The letters ሇ, ዯ and the unassigned U+12D7 give it away, for Amharic never writes them; a text with one of them is
repaired, and told. Words that are no words unless they are repaired (`ክፍሌ` ክፍል) are repaired without such a letter.
"""

from __future__ import annotations

import re

from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import Record, Stage, Substitution

LEGACY = "legacy-font"
_MARKERS = "ሇዯ\u12d7"
_ROWS = "ሇለሉሊላሌልዯደዱዲዳዴድ"
_LATE_ROW = "\u12d7ዘዙዚዛዜዝ"
_WORDS = {
    "ክፍሌ": "ክፍል", "ክሌሌ": "ክልል", "ሌማት": "ልማት", "አገሌግልት": "አገልግሎት", "ሪፑብሉክ": "ሪፑብሊክ", "ሪፐብሉክ": "ሪፐብሊክ",
    "ዴርጅት": "ድርጅት", "ዴንጋጌ": "ድንጋጌ", "ክሌልች": "ክልሎች", "ሌዩ": "ልዩ", "ሉሆን": "ሊሆን", "ሥሌጣን": "ሥልጣን", "ስሌጣን": "ስልጣን",
    "ሥሌጠና": "ሥልጠና", "ስሌጠና": "ስልጠና", "ዯንብ": "ደንብ", "ሌጆች": "ልጆች",
}  # fmt: skip
_PREFIX = "[የበለከሇ]?"


def _later(letter: str) -> str:
    return chr(ord(letter) + 1)


class _Shift:
    """Moves the letters of a text with a telltale letter one place on."""

    name = LEGACY

    def apply(self, text: str, record: Record | None = None) -> str:
        """See `Rule.apply`."""
        rows = _ROWS + (_LATE_ROW if "\u12d7" in text else "")
        table = str.maketrans({letter: _later(letter) for letter in rows})
        if record is not None:
            for word in text.split():
                if (repaired := word.translate(table)) != word:
                    record(self.name, word, repaired)
        return text.translate(table)


def legacy_stage() -> Stage:
    """Repairs a text with a telltale letter."""
    return Stage("legacy", (_Shift(),), frozenset("\u12d7"), tuple("ሇዯ"))


def legacy_words() -> Substitution:
    """Repairs single words that are none as they stand."""
    pattern = re.compile(rf"^(?P<prefix>{_PREFIX})(?P<word>{'|'.join(_WORDS)})(?![{LETTER}])")
    return Substitution(
        LEGACY, pattern, lambda match: match["prefix"] + _WORDS[match["word"]], words=tuple("ሌሉዴ")
    )
