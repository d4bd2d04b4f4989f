"""The subset of SSML 1.1 that is read: pauses, pace, readings of a word. Everything else is an error that names it.

| element | attributes |
|---|---|
| speak, p, s | |
| break | time="1.5s" or "300ms", or strength |
| prosody | rate="slow", "80%" or "0.8" |
| sub | alias |
| say-as | interpret-as: characters, digits, telephone, cardinal, ordinal, date, time |
| phoneme | alphabet="ipa", ph |

W3C Recommendation "Speech Synthesis Markup Language (SSML) Version 1.1", 7 September 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.parsers import expat

from amtts_core.errors import AmttsError, nearest
from amtts_core.text.language import get_language
from amtts_core.units import Seconds

ATTRIBUTES = {
    "speak": ("version", "xmlns", "xml:lang", "xsi:schemaLocation", "xmlns:xsi"),
    "p": ("xml:lang",),
    "s": ("xml:lang",),
    "break": ("time", "strength"),
    "prosody": ("rate",),
    "sub": ("alias",),
    "say-as": ("interpret-as", "format"),
    "phoneme": ("alphabet", "ph"),
}
SUBSET = "<speak> <p> <s> <break> <prosody rate> <sub> <say-as> <phoneme>"
STRENGTHS: dict[str, Seconds] = {
    "none": 0.0,
    "x-weak": 0.1,
    "weak": 0.2,
    "medium": 0.35,
    "strong": 0.7,
    "x-strong": 1.2,
}
RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
READINGS = ("characters", "spell-out", "digits", "telephone", "cardinal", "number", "ordinal", "date", "time")
_SPELT = ("characters", "spell-out", "digits", "telephone")
_SIGNS = re.compile(
    r"<\s*(?:speak\b|(?:break|prosody|say-as|phoneme)(?:\s[^<>]*)?/?>|sub\s[^<>]*alias)", re.IGNORECASE
)
_TIME = re.compile(r"\+?(\d+(?:\.\d+)?|\.\d+)(ms|s)")
_LONE_AMPERSAND = re.compile(r"&(?!(?:#x?[0-9a-fA-F]+|amp|lt|gt|quot|apos);)")
_LEAST, _MOST = 0.25, 4.0


@dataclass(frozen=True)
class Part:
    """Words or a pause.

    Attributes:
        text: None for a pause.
        rate: of the words.
        seconds: of the pause.
        ends: a paragraph ends behind the words.
    """

    text: str | None = None
    rate: float = 1.0
    seconds: Seconds = 0.0
    ends: bool = False


def is_ssml(text: str) -> bool:
    """True where a text holds an element that only SSML has."""
    return "<" in text and _SIGNS.search(text) is not None


def read_ssml(text: str, *, language: str) -> Iterator[Part]:
    """The parts of an SSML document, or of a text with elements of it inside.

    Args:
        text: with or without <speak> around it.
        language: whose letters phonemes are written in.

    Raises:
        AmttsError: not well-formed, or an element, attribute or value outside the subset.
    """
    reader = _Reader(language)
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _no_doctype
    whole = text.strip()
    if not re.match(r"<\?xml|<!|<\s*speak\b", whole, re.IGNORECASE):  # a text with elements in it
        whole = f"<speak>{_LONE_AMPERSAND.sub('&amp;', whole)}</speak>"
    try:
        parser.Parse(whole, True)
    except expat.ExpatError as error:
        raise AmttsError(
            f"the SSML is not well-formed: {expat.ErrorString(error.code)}, line {error.lineno}",
            remedy="Close every tag, and write & as &amp; and < as &lt;",
        ) from None
    return reader.parts()


def _no_doctype(name: str, *_: object) -> None:
    raise AmttsError(f"SSML with a document type ({name}) is not read", remedy="Leave <!DOCTYPE …> out")


class _Reader:
    def __init__(self, language: str) -> None:
        self._language = language
        self._parts: list[Part] = []
        self._rates = [1.0]
        self._as: list[tuple[str, str]] = []  # elements that replace their text, with what they ask for
        self._inside = ""

    def parts(self) -> Iterator[Part]:
        """What was read, words in a row joined."""
        waiting: Part | None = None
        for part in self._parts:
            if (
                part.text is not None
                and waiting is not None
                and waiting.rate == part.rate
                and not waiting.ends
            ):
                waiting = replace(waiting, text=f"{waiting.text}{part.text}", ends=part.ends)
                continue
            if waiting is not None and (waiting.text or "").strip():
                yield _flat(waiting)
            waiting = part if part.text is not None else None
            if part.text is None:
                yield part
        if waiting is not None and (waiting.text or "").strip():
            yield _flat(waiting)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in ATTRIBUTES:
            raise AmttsError(
                f"the SSML element <{name}> is not read here{nearest(name, ATTRIBUTES)}",
                remedy=f"Leave it out; read are {SUBSET}",
            )
        for attribute, value in attributes.items():
            if attribute not in ATTRIBUTES[name] and not attribute.startswith("xmlns"):
                known = ", ".join(ATTRIBUTES[name]) or "none"
                raise AmttsError(
                    f'the SSML attribute {attribute}="{value}" of <{name}> is not read here; read are: {known}'
                )
        if self._as:
            raise AmttsError(f"<{name}> inside <{self._as[-1][0]}> is not read here", remedy="Take it out")
        if name == "break":
            self._parts.append(Part(seconds=_pause(attributes)))
        elif name == "prosody":
            self._rates.append(self._rates[-1] * _rate(attributes))
            if not _LEAST <= self._rates[-1] <= _MOST:
                raise AmttsError(
                    f'prosody rate="{attributes["rate"]}" makes a pace of {self._rates[-1]:g}; '
                    f"expected {_LEAST:g} to {_MOST:g}"
                )
        elif name in ("sub", "say-as", "phoneme"):
            self._as.append((name, self._asked(name, attributes)))
            self._inside = ""
        elif name == "p":
            self._end_words()

    def end(self, name: str) -> None:
        if name == "prosody":
            self._rates.pop()
        elif name in ("sub", "say-as", "phoneme"):
            element, asked = self._as.pop()
            self._add(
                _spelt(self._inside)
                if element == "say-as" and asked in _SPELT
                else self._kept(element, asked)
            )
        elif name == "s":
            self._add("\n")
        elif name in ("p", "speak"):
            self._end_words()

    def characters(self, text: str) -> None:
        flat = re.sub(r"\s", " ", text)  # lines of the document are no lines of the text
        if self._as:
            self._inside += flat
        else:
            self._add(flat)

    def _kept(self, element: str, asked: str) -> str:
        return self._inside if element == "say-as" else asked

    def _asked(self, name: str, attributes: dict[str, str]) -> str:
        wanted = {"sub": "alias", "say-as": "interpret-as", "phoneme": "ph"}[name]
        value = attributes.get(wanted, "").strip()
        if not value:
            raise AmttsError(f'<{name}> needs {wanted}="…"')
        if name == "say-as" and value not in READINGS:
            raise AmttsError(
                f'say-as interpret-as="{value}" is unknown{nearest(value, READINGS)}; known: {", ".join(READINGS)}'
            )
        if name == "phoneme":
            alphabet = attributes.get("alphabet", "ipa")
            if alphabet != "ipa":
                raise AmttsError(f'phoneme alphabet="{alphabet}" is unknown; known: ipa')
            return _letters(value, self._language)
        return value

    def _add(self, text: str) -> None:
        self._parts.append(Part(text, self._rates[-1]))

    def _end_words(self) -> None:
        if self._parts and self._parts[-1].text is not None:
            self._parts[-1] = replace(self._parts[-1], ends=True)


def _flat(part: Part) -> Part:
    """A part without double spaces; the line ends that are left are those of <s>."""
    return replace(part, text="\n".join(" ".join(line.split()) for line in (part.text or "").split("\n")))


def _pause(attributes: dict[str, str]) -> Seconds:
    if "time" in attributes:
        time = _TIME.fullmatch(attributes["time"].strip())
        if time is None:
            raise AmttsError(
                f'break time="{attributes["time"]}" is no time', remedy='Write time="1.5s" or time="300ms"'
            )
        return float(time[1]) / (1000 if time[2] == "ms" else 1)
    strength = attributes.get("strength", "medium")
    if strength not in STRENGTHS:
        raise AmttsError(f'break strength="{strength}" is unknown; known: {", ".join(STRENGTHS)}')
    return STRENGTHS[strength]


def _rate(attributes: dict[str, str]) -> float:
    written = attributes.get("rate", "").strip()
    if written in RATES:
        return RATES[written]
    number = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(%?)", written)
    if number is None:
        raise AmttsError(f'prosody rate="{written}" is no pace', remedy='Write rate="slow", "80%" or "0.8"')
    return float(number[1]) / (100 if number[2] else 1)


def _spelt(text: str) -> str:
    """Characters one by one."""
    return "፣ ".join(character for character in text if character.isalnum())


def _letters(ipa: str, language: str) -> str:
    from_ipa = get_language(language).from_ipa
    if from_ipa is None:
        raise AmttsError(f"language '{language}' has no letters for IPA", remedy="Leave <phoneme> out")
    return from_ipa(ipa)
