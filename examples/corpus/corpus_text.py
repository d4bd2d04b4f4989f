"""What make_corpus.py speaks: reads the sentences, writes numbers out, refuses what eSpeak NG cannot speak.

A small help for raw text, not the normalizer of amtts: it knows whole numbers and the commonest punctuation.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path

LETTERS = re.compile(r"[\u1200-\u135A]")
ALLOWED = re.compile(r"[\u1200-\u135A ።፣፤፦?!]+")
# The plain letters eSpeak NG has no rule for: it would read out their code points.
UNSPEAKABLE = frozenset("ቐቑቒቓቔቕቖቘቚቛቜቝሇቇኇኯዏዯጏጟፇ")
REWRITES = (("፡፡", "።"), ("::", "።"), ("፥", "፣"), (",", "፣"), (";", "፤"), ("፧", "?"), ("፡", " "))
DROPPED = str.maketrans(dict.fromkeys("«»“”‹›\"'()[]", " "))
ONES = ("", "አንድ", "ሁለት", "ሦስት", "አራት", "አምስት", "ስድስት", "ሰባት", "ስምንት", "ዘጠኝ")
TENS = ("", "አስር", "ሃያ", "ሰላሳ", "አርባ", "ሃምሳ", "ስልሳ", "ሰባ", "ሰማንያ", "ዘጠና")
SCALES = ((10**9, "ቢሊዮን"), (10**6, "ሚሊዮን"), (1000, "ሺህ"), (100, "መቶ"))
NUMBER = re.compile(r"[0-9]+|[፩-፼]+")


class CorpusError(Exception):
    """A mistake of the caller, told in one line with its remedy."""


def number_words(value: int) -> str:
    """Says a whole number from 0 to 999 999 999 999 in Amharic words."""
    if value == 0:
        return "ዜሮ"
    words = []
    for size, name in SCALES:
        count, value = divmod(value, size)
        if count:
            words += [number_words(count), name]
    tens, ones = divmod(value, 10)
    if tens:
        words.append("አስራ" if tens == 1 and ones else TENS[tens])
    if ones:
        words.append(ONES[ones])
    return " ".join(words)


def ethiopic_value(numeral: str) -> int:
    """Reads Ethiopic numerals: ፲፱፻፹፬ is 1984, ፳፻፲፮ is 2016, ፼ is 10000."""
    total, hundreds, group = 0, 0, 0
    for character in numeral:
        code = ord(character) - ord("፩")
        if code < 9:
            group += code + 1
        elif code < 18:
            group += 10 * (code - 8)
        elif character == "፻":
            hundreds, group = hundreds + 100 * (group or 1), 0
        else:  # ፼
            total, hundreds, group = (total + hundreds + group or 1) * 10_000, 0, 0
    return total + hundreds + group


def spell_numbers(text: str) -> str:
    """Writes whole numbers out in words; a prefix such as በ stays bound to the first word."""

    def words(match: re.Match[str]) -> str:
        digits = match.group()
        value = int(digits) if digits.isascii() else ethiopic_value(digits)
        return number_words(value) if value < 10**12 else digits

    return NUMBER.sub(words, text)


def speakable(line: str) -> tuple[str, str]:
    """Brings a line into the form that is spoken and written to metadata.csv.

    Returns:
        The text and an empty reason, or an empty text and the reason why it cannot be spoken.
    """
    for old, new in REWRITES:
        line = line.replace(old, new)
    if re.search(r"[0-9፩-፼][\u1200-\u135A]", line):
        return "", "a number with a suffix"
    if re.search(r"[0-9][.,፣:/-][0-9]", line):
        return "", "a number that is not whole"
    if re.search(r"(?<![0-9])0[0-9]", line):
        return "", "a number that starts with zero"
    text = re.sub(r" +(?=[።፣፤፦?!])", "", " ".join(spell_numbers(line.translate(DROPPED)).split()))
    strange = sorted({c for c in text if not ALLOWED.fullmatch(c) or c in UNSPEAKABLE})
    if strange:
        return "", f"the character {strange[0]!r} (U+{ord(strange[0]):04X})"
    if not LETTERS.search(text):
        return "", "no Ethiopic letter"
    return text, ""


def read_lines(path: Path, column: str | None) -> list[str]:
    """Reads one sentence a line, or one column of a table (tab or | between columns, with a header)."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read the text file {path} ({error}); give UTF-8 text to --text") from error
    if column is None:
        return [line for line in content.splitlines() if line.strip()]
    delimiter = "\t" if "\t" in content.split("\n", 1)[0] else "|"
    table = csv.DictReader(io.StringIO(content), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    if column not in (table.fieldnames or ()):
        known = ", ".join(table.fieldnames or ()) or "none"
        raise CorpusError(f"{path} has no column {column!r}; its columns are: {known}")
    return [row[column] for row in table if (row[column] or "").strip()]


def read_sentences(path: Path, column: str | None) -> list[str]:
    """Reads the speakable sentences and prints what was left out and why."""
    kept, reasons = [], Counter[str]()
    for line in read_lines(path, column):
        text, reason = speakable(line)
        if reason:
            reasons[reason] += 1
            print(f"left out ({reason}): {line.strip()[:80]}")
        else:
            kept.append(text)
    if reasons:
        detail = "; ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
        print(f"left out {reasons.total()} of {reasons.total() + len(kept)} lines: {detail}")
    if not kept:
        raise CorpusError(f"{path} has no line that can be spoken; it takes Amharic in Ethiopic letters")
    return kept
