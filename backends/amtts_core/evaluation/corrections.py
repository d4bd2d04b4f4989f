"""What a person should record to mend a voice: its worst words and sentences, chosen from an evaluation.

Words count by how often the voice gets them wrong; a word that the recognizer reads wrongly in the recording as well is
no fault of the voice. Among equally bad ones, those with letters that are not yet on the sheet come first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from amtts_core.errors import AmttsError
from amtts_core.evaluation.systems import RECORDINGS
from amtts_core.evaluation.text_errors import LETTERS, WORDS
from amtts_core.storage.atomic import replace_text
from amtts_core.units import Seconds

LETTERS_PER_SECOND = 9.0
PAUSE: Seconds = 1.0
"""Silence around one recording."""
NEW_LETTER = 0.15
"""How much a letter that is not yet on the sheet counts beside the share of wrong sayings."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """One thing to record.

    Attributes:
        text: a word or a sentence, normalized.
        kind: "word" or "sentence".
        wrong: share of its sayings that were wrong (word), or of its letters (sentence).
        said: how often it was spoken in the evaluation.
        heard: what was recognized, the commonest first.
    """

    text: str
    kind: str
    wrong: float
    said: int
    heard: tuple[str, ...] = ()

    @property
    def seconds(self) -> Seconds:
        """About how long its recording is."""
        return len(LETTERS(self.text)) / LETTERS_PER_SECOND + PAUSE


@dataclass
class _Word:
    said: int = 0
    wrong: int = 0
    heard: Counter[str] = field(default_factory=Counter)


def read_rows(report: Path, system: str = "") -> list[dict[str, Any]]:
    """Rows of one system of a report.json; without a name, of the only one that speaks.

    Raises:
        AmttsError: no report, no such system, several to choose from, or no recognizer was asked.
    """
    try:
        rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AmttsError(
            f"{report} is no report of an evaluation ({type(error).__name__})",
            remedy="Make one with: amtts evaluate --checkpoint DIR --manifest test.jsonl --out DIR",
        ) from None
    names = [name for name in dict.fromkeys(row["system"] for row in rows) if name != RECORDINGS]
    if system and system not in names or not system and len(names) != 1:
        which = f"system '{system}' is not in {report}" if system else f"{report} has several systems"
        raise AmttsError(f"{which}; it has: {', '.join(names)}", remedy="Name one with --system")
    chosen = [row for row in rows if row["system"] == (system or names[0]) and row.get("errors")]
    if not chosen:
        raise AmttsError(
            f"{report} holds no recognized speech", remedy="Evaluate with the metric group 'text'"
        )
    floor = {
        row["id"]: set(row["errors"]["wrong"])
        for row in rows
        if row["system"] == RECORDINGS and row.get("errors")
    }
    return [row | {"not_the_voice": floor.get(row["id"], set())} for row in chosen]


def choose(
    rows: Sequence[dict[str, Any]], *, minutes: float, sentence_share: float = 0.4
) -> list[Correction]:
    """Words and sentences of at most so many minutes together, the worst first.

    Args:
        rows: of `read_rows`.
        minutes: of recording, pauses included.
        sentence_share: share of the time that sentences get at most.
    """
    budget = 60 * minutes
    sentences = _take(_sentences(rows), budget * sentence_share)
    words = _take(_words(rows), budget - sum(c.seconds for c in sentences))
    return [*words, *sentences]


def _words(rows: Iterable[dict[str, Any]]) -> list[Correction]:
    found: dict[str, _Word] = {}
    for row in rows:
        wrong = set(row["errors"]["wrong"]) - row["not_the_voice"]
        for number, word in enumerate(WORDS(row["reference"]).split()):
            if number in row["not_the_voice"]:
                continue
            entry = found.setdefault(word, _Word())
            entry.said += 1
            if number in wrong:
                entry.wrong += 1
                entry.heard[row["hypothesis"]] += 1
    return [
        Correction(
            text=word,
            kind="word",
            wrong=entry.wrong / entry.said,
            said=entry.said,
            heard=tuple(text for text, _ in entry.heard.most_common(3)),
        )
        for word, entry in found.items()
        if entry.wrong
    ]


def _sentences(rows: Iterable[dict[str, Any]]) -> list[Correction]:
    out = []
    for row in rows:
        blamed = set(row["errors"]["wrong"]) - row["not_the_voice"]
        cer = row["errors"]["cer"]
        errors = cer["substitutions"] + cer["deletions"] + cer["insertions"]
        if blamed and len(row["reference"].split()) > 1:
            rate = errors / max(1, cer["length"])
            out.append(
                Correction(
                    text=row["reference"], kind="sentence", wrong=rate, said=1, heard=(row["hypothesis"],)
                )
            )
    return out


def _take(candidates: list[Correction], budget: Seconds) -> list[Correction]:
    """The best ones that fit, chosen one after the other, each by how bad it is and which letters it adds."""
    taken: list[Correction] = []
    covered: set[str] = set()
    left = list(candidates)
    while left:
        best = max(left, key=lambda c: (_worth(c, covered), -c.seconds, c.text))
        left.remove(best)
        if best.seconds > budget:
            continue
        budget -= best.seconds
        covered |= set(LETTERS(best.text))
        taken.append(best)
    return taken


def _worth(correction: Correction, covered: set[str]) -> float:
    letters = set(LETTERS(correction.text))
    return correction.wrong + NEW_LETTER * len(letters - covered) / max(1, len(letters))


def write_sheet(corrections: Sequence[Correction], folder: Path) -> Path:
    """A folder for `amtts train --feedback`: NAME.txt for each recording to make, and `sheet.html` to read from.

    Raises:
        AmttsError: nothing to record, or the folder holds other texts already.
    """
    if not corrections:
        raise AmttsError(
            "no word was wrong beyond what the recognizer itself gets wrong; there is nothing to record"
        )
    if any(folder.glob("*.txt")):
        raise AmttsError(f"{folder} holds texts already", remedy="Give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:03}-{correction.kind}" for number, correction in enumerate(corrections, 1)]
    for name, correction in zip(names, corrections, strict=True):
        replace_text(folder / f"{name}.txt", correction.text + "\n")
    page = folder / "sheet.html"
    replace_text(page, _page(dict(zip(names, corrections, strict=True))))
    return page


def _page(corrections: dict[str, Correction]) -> str:
    rows = "".join(
        f"<tr><td>{name}.wav</td><td lang=am class=text>{escape(c.text)}</td>"
        f"<td>{c.wrong:.0%} wrong{f' of {c.said}' if c.kind == 'word' else ''}</td>"
        f"<td lang=am>{escape('; '.join(c.heard))}</td></tr>"
        for name, c in corrections.items()
    )
    minutes = sum(c.seconds for c in corrections.values()) / 60
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Recording sheet</title><style>'
        "body{font:16px/1.5 system-ui,'Noto Sans Ethiopic',sans-serif;margin:1rem auto;max-width:60rem;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.3rem;text-align:left}"
        ".text{font-size:1.3rem}</style></head><body><h1>Recording sheet</h1>"
        f"<p>{len(corrections)} recordings, about {minutes:.1f} minutes. Record each text in a quiet room, as it is "
        "said naturally, and save it beside this page under the name in the first column. Then: "
        "<code>amtts train --from VOICE --feedback THIS_FOLDER --data CORPUS --out NEW</code></p>"
        "<table><tr><th>file</th><th>text</th><th>why</th><th>recognized as</th></tr>"
        f"{rows}</table></body></html>\n"
    )
