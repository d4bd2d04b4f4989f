"""What a text asks for: words, pauses and pace, from plain text, `[pause:1.5s]` and a subset of SSML.

Plain text: blank lines end paragraphs. A line end inside a paragraph is a space, except behind a heading and before the
entry of a list. Tags of HTML are left out by the normalizer; any other tag is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from amtts_core.errors import AmttsError
from amtts_core.synthesis import ssml
from amtts_core.text.residue import HTML_TAGS
from amtts_core.units import Seconds

LONGEST_PAUSE: Seconds = 60.0
_PAUSE = re.compile(r"\[\s*pause\b(?P<value>[^\]\n]*)\]", re.IGNORECASE)
_VALUE = re.compile(r"\s*[:= ]\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>ms|s)\s*", re.IGNORECASE)
_TAG = re.compile(r"</?(?P<name>[A-Za-z][\w:-]*)(?:\s[^<>]*)?/?>")
_ENTRY = re.compile(r"\s*(?:[-*+•·▪●◦–—]\s|\(?[0-9\u1369-\u137c]{1,3}[.)]\s|#{1,6}\s|>\s)")
_HEADING = re.compile(r"\s*#{1,6}\s|\s*(?:[=\-*_~]\s*){3,}$")
_SHORT = 0.6
"""A line with room for the next word at this share of the paragraph's widest line was ended on purpose."""


@dataclass(frozen=True)
class Say:
    """Words in a row.

    Attributes:
        text: as written, without line ends inside.
        rate: of the pace asked for the whole text.
        ends: a paragraph ends behind it.
    """

    text: str
    rate: float = 1.0
    ends: bool = True


@dataclass(frozen=True)
class Silence:
    """A pause of exactly so many seconds."""

    seconds: Seconds


def read_script(text: str, *, language: str = "am") -> list[Say | Silence]:
    """What is to be said of a text, in order.

    Args:
        text: plain text, or SSML where a tag of it is there.
        language: code of the language pack, which writes phonemes in its letters.

    Raises:
        AmttsError: SSML outside the subset, a tag that is neither SSML nor HTML, or a pause that cannot be read.
    """
    if ssml.is_ssml(text):
        return [
            Silence(_bounded(part.seconds)) if part.text is None else Say(part.text, part.rate, part.ends)
            for part in ssml.read_ssml(text, language=language)
        ]
    _check_tags(text)
    out: list[Say | Silence] = []
    for paragraph in _paragraphs(text):
        start = 0
        for mark in _PAUSE.finditer(paragraph):
            if before := paragraph[start : mark.start()].strip():
                out.append(Say(before, ends=False))
            out.append(Silence(_seconds(mark)))
            start = mark.end()
        if rest := paragraph[start:].strip():
            out.append(Say(rest))
    return out


def _check_tags(text: str) -> None:
    for tag in _TAG.finditer(text):
        if tag["name"].lower() not in HTML_TAGS:
            raise AmttsError(
                f"the tag {tag[0][:60]} is neither HTML nor of the SSML that is read here",
                remedy=f"Leave it out, or use: {ssml.SUBSET}; a plain '<' is written &lt;",
            )


def _seconds(mark: re.Match[str]) -> Seconds:
    value = _VALUE.fullmatch(mark["value"])
    if value is None:
        raise AmttsError(
            f"{mark[0]} is no pause; expected seconds or milliseconds",
            remedy="Write [pause:1.5s] or [pause:300ms]",
        )
    return _bounded(float(value["number"]) / (1000 if value["unit"].lower() == "ms" else 1))


def _bounded(seconds: Seconds) -> Seconds:
    if seconds > LONGEST_PAUSE:
        raise AmttsError(f"a pause of {seconds:g} s is too long; at most {LONGEST_PAUSE:g} s")
    return seconds


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs, headings and entries of lists, each on one line."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            block.append(line)
        else:
            yield from _joined(block)
            block = []


def _joined(lines: list[str]) -> Iterator[str]:
    """The lines of a block with what goes on in the next one."""
    widest = max((len(line.strip()) for line in lines), default=0)
    current: list[str] = []
    for number, line in enumerate(lines):
        current.append(line.strip())
        following = lines[number + 1] if number + 1 < len(lines) else None
        if following is None or _ended(line, following, widest):
            yield " ".join(current)
            current = []


def _ended(line: str, following: str, widest: int) -> bool:
    """True where a line end is meant: behind a heading, before an entry of a list, behind a strikingly short line."""
    if _ENTRY.match(following) or _HEADING.match(line) or _HEADING.match(following):
        return True
    with_next_word = len(line.strip()) + 1 + len(following.split()[0])
    return with_next_word <= _SHORT * widest
