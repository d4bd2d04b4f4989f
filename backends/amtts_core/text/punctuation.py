"""Punctuation of the Ethiopic script (reference 1.4), in two halves around the numeric and abbreviation stages.

`marks_stage` runs first and leaves `.` `,` `:` `/` `-` and brackets alone, because numbers, times and abbreviations
need them; `separators_stage` runs near the end and turns what is left of them into pauses or spaces.
"""

from __future__ import annotations

import re

from amtts_core.text.ethiopic import LETTER
from amtts_core.text.rules import DIGIT, LATIN, Stage, Substitution, Translation, Whole, literal
from amtts_core.text.settings import NormalizerSettings

END_MARKS = "።?!"
PAUSE_MARKS = "፣፤፦"
MARKS = END_MARKS + PAUSE_MARKS
_BY_STRENGTH = "?!።፦፤፣"
_ORDINARY = frozenset({LATIN, DIGIT, *"።፣፤?!%$€£+*#@&=_~^<>|\\[]{}(,/-"})
"""Signs that `marks_stage` leaves alone."""
_QUOTES = '"«»“”„‟‹›❝❞〝〞'
_APOSTROPHES = "'‘’‚‛′´`ʼʻ"
_OPENING = "‘‛"
_RUN_BEFORE = re.compile(f"[{LETTER}]+$")
_RUN_AFTER = re.compile(f"[{LETTER}]+")
_WORD = rf"[^\W\d_{LETTER}]|[{LETTER}]"

_SINGLE = str.maketrans(
    {
        "፧": "?",
        "؟": "?",
        "¿": "?",
        "¡": "!",  # written after a sentence: irony
        "፥": "፣",
        "،": "፣",
        "、": "፣",
        "，": "፣",
        ";": "፤",
        "؛": "፤",
        "。": "።",
        "፠": "።",
        "፨": "።",
        "…": " ፣ ",
        "•": " ፣ ",
        **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
        **dict.fromkeys("᎐᎑᎒᎓᎔᎕᎖᎗᎘᎙", ""),  # tonal marks of liturgical text
    }
)


def _quote(match: re.Match[str]) -> str:
    """A quotation mark that ties a prefix or suffix to its word goes without a trace; any other is a space."""
    before = _RUN_BEFORE.search(match.string, max(0, match.start() - 12), match.start())
    after = _RUN_AFTER.match(match.string, match.end(), match.end() + 12)
    if before and after is None and len(before[0]) <= 2:
        return "" if match.string[match.end() : match.end() + 1].isalnum() else " "
    bound = before and after and (len(before[0]) <= 2 or len(after[0]) <= 3)
    return "" if bound else " "


def _apostrophe(match: re.Match[str]) -> str:
    """`ደማም’ኮ` is one word; an opening quotation mark, or a mark between two long words, parts them."""
    before = _RUN_BEFORE.search(match.string, max(0, match.start() - 12), match.start())
    after = _RUN_AFTER.match(match.string, match.end(), match.end() + 12)
    if before and after:
        return "" if match[0] not in _OPENING and (len(before[0]) <= 2 or len(after[0]) <= 3) else " "
    return ""


def _paragraphs(text: str) -> str:
    """A blank line ends a sentence; any other line end is a space."""
    if "\n" not in text:
        return text
    lines = [part.strip() for part in re.split(r"\n[ \t\r]*\n\s*", text) if part.strip()]
    ended = [part if part[-1] in ".።?!፡:፧፣፤" else part + "።" for part in lines[:-1]]
    return " ".join([*ended, *lines[-1:]])


_LABELS = "".join(chr(row) for row in range(0x1200, 0x1358, 8))
"""The letters that number the entries of a list: first order."""
_LABEL = re.compile(rf"\s*\(?([0-9]{{1,2}}|[{_LABELS}](?=..[{LETTER}]{{2}}))[.)](?=\s)")


def _label(text: str) -> str:
    """The mark behind the label of a list entry (`1.`, `ሀ)`) at the beginning is a pause, like those that follow."""
    match = _LABEL.match(text) or _first_of_several(text)
    if match is None:
        return text
    out, place, label = [f"{text[: match.start()]}{match[1]}፣"], match.end(), match[1]
    if label.isdecimal():
        for following in _NEXT_LABEL.finditer(text, place):
            if int(following[1]) == int(label) + 1:
                label = following[1]
                out.append(f"{text[place : following.start()]}{label}፣")
                place = following.end()
    return "".join((*out, text[place:]))


_NEXT_LABEL = re.compile(r"(?<=\s)([0-9]{1,2})[.)](?=\s)")
_FIRST_LABEL = re.compile(r"(?<=\s)(1)[.)](?=\s)")


def _first_of_several(text: str) -> re.Match[str] | None:
    """The label 1 inside a text, where a label 2 follows."""
    first = _FIRST_LABEL.search(text)
    following = first and _NEXT_LABEL.search(text, first.end())
    return first if following and following[1] == "2" else None


_WORD_SPACE = re.compile(rf"(?<=[{LETTER}0-9])፡(?=\s)")
_PLAIN_GAP = re.compile(rf"[{LETTER}0-9]\s+[{LETTER}0-9]")
_FEW = 3


def _word_spaces(text: str) -> str:
    """`በግ፡ በሬ፡ ፍየል`: ፡ against a word and before a space is a pause, unless the text parts all its words that way."""
    if "፡" not in text:
        return text
    marks = len(_WORD_SPACE.findall(text))
    if not marks or (marks >= _FEW and marks > len(_PLAIN_GAP.findall(text))):
        return text
    return _WORD_SPACE.sub("፣", text)


def marks_stage(*, reporting: tuple[str, ...] = ()) -> Stage:
    """Sentence and clause marks, word separator, quotation marks.

    Args:
        reporting: beginnings of the verbs that report a quotation; a full stop inside it before one is a pause.
    """
    said = "|".join(map(re.escape, reporting)) or "(?!)"
    return Stage(
        "punctuation",
        (
            Whole("blank-line", _paragraphs, needs="\n"),
            literal("long-dash", f"(?<=[{LETTER}])[—―](?=[{LETTER}])", " - ", needs="—―"),
            Translation("single-mark", _SINGLE),
            literal("division-sign", rf"(?<=[{LETTER}])÷|÷(?!\s?[0-9])", "፣", needs="÷"),
            Whole("list-entry", _label, needs=".)"),
            literal("ellipsis", r"\.{2,}", " ፣ ", needs="."),
            literal("clock-colon", r"(?<=[0-9፩-፼]) ?፡ ?(?=[0-9፩-፼])", ":", needs="፡"),
            literal("preface", r"(?<![፡:])[፡:]+[-፦]|፦-+", "፦", words=(":-", "፡-", ":፦", "፡፦", "፦-")),
            literal(
                "full-stop",
                r"[፡:።](?:\s?[፡:።])*\s?[፡:።](?!\d)",
                "።",
                words=tuple(f"{a}{gap}{b}" for a in "፡:።" for b in "፡:።" for gap in ("", " ")),
            ),
            literal("reported", rf"።(?=\s?[»”\"’'›]+\s?(?:{said}))", "፣", needs="»”\"’'›"),
            Whole("word-space", _word_spaces, needs="፡"),
            literal("word-space", "፡", " ", needs="፡"),
            Substitution(
                "apostrophe",
                re.compile(rf"(?<={_WORD})[{_APOSTROPHES}](?={_WORD})"),
                _apostrophe,
                needs=_APOSTROPHES,
            ),
            literal("apostrophe", f"[{_APOSTROPHES}]", " ", needs=_APOSTROPHES),
            Substitution("quotation-mark", re.compile(f"[{_QUOTES}]+"), _quote, needs=_QUOTES),
        ),
        ordinary=_ORDINARY,
    )


_SUFFIX_BEHIND = re.compile(rf"(?<=[{LETTER}])\s?[)\]]((?:ን|ም|ና|ንም|ንና|ስ|ው|ዎች)(?![{LETTER}]))")
"""A suffix against a bracket (`(ዶ/ር)ን`) belongs to the word inside."""


def separators_stage(settings: NormalizerSettings, *, word_for_or: str) -> Stage:
    """What numbers, times and abbreviations left over of `. , : / -` and brackets."""
    slash = "፣ " if settings.slash == "pause" else f" {word_for_or} "

    def read_slash(match: re.Match[str]) -> str:
        short = len(match["before"]) <= 2 or len(match["after"]) <= 2
        return match["before"] + (" " if short else slash)

    return Stage(
        "separators",
        (
            Substitution(
                "slash",
                re.compile(rf"(?<![{LETTER}])(?P<before>[{LETTER}]+) ?/ ?(?=(?P<after>[{LETTER}]+))"),
                read_slash,
                needs="/",
            ),
            literal("slash", "[/\\\\|]", " ", needs="/\\|"),
            literal("underscore", "_", " ", needs="_"),
            literal("comma", ",", "፣", needs=","),
            literal("full-stop", r"(?<=[^\s.])\.(?=\s|$)", "።", needs="."),
            literal("dot", r"\.", " ", needs="."),
            literal("colon", r":(?=\s|$)|(?<=\s):", "፦", needs=":"),
            literal("colon", ":", " ", needs=":"),
            literal("dash", r"(?:(?<=\s)|^)-+(?=\s|$)", "፣", needs="-"),
            literal("hyphen", "-", " ", needs="-"),
            Substitution("bracket", _SUFFIX_BEHIND, lambda match: f"{match[1]} ) ", needs=")]"),
            literal("bracket", r"[)\]}>]+\s*$", "", needs=")]}>"),
            literal(
                "bracket", r"[()\[\]{}<>]", " ፣ " if settings.brackets == "pause" else " ", needs="()[]{}<>"
            ),
        ),
        frozenset("-./,:()[]{}<>\\|_"),
        takes=frozenset(),
    )


_RUN = re.compile(rf"[{MARKS}](?: ?[{MARKS}])* ?")
_MARK_BEFORE = re.compile(rf"[{MARKS}](?=[^ ])")
_MARK_AFTER = re.compile(rf" [{MARKS}]")
_ALL_MARKS = frozenset(MARKS)
_LEADING = re.compile(rf"^[{PAUSE_MARKS}። ]+(?=.)")


def tidy_marks(text: str) -> str:
    """One mark where several meet (the strongest), no space before it, one after it, none before the first word."""
    if not (text[:1] in _ALL_MARKS or _MARK_BEFORE.search(text) or _MARK_AFTER.search(text)):
        return text
    for mark in MARKS:
        text = text.replace(" " + mark, mark)
    joined = _RUN.sub(_strongest, text)
    return _LEADING.sub("", joined.strip())


def _strongest(match: re.Match[str]) -> str:
    run = match[0].rstrip()
    return (run if len(run) == 1 else min(run, key=_strength)) + " "


def _strength(mark: str) -> int:
    place = _BY_STRENGTH.find(mark)
    return len(_BY_STRENGTH) if place < 0 else place


def spacing_stage(*, punctuation: bool) -> Stage:
    """The last stage of every language: single spaces, marks tidy."""

    def tidy(text: str) -> str:
        text = " ".join(text.split())
        return tidy_marks(text) if punctuation else text

    return Stage("spacing", (Whole("spacing", tidy),))
