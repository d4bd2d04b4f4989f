"""Reads a corpus folder once, row by row, and counts. Memory grows with the speakers, not with the utterances."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amtts_core.corpus.corpus import corpus_normalizer
from amtts_core.corpus.ledger import LEDGER, MANIFEST
from amtts_core.corpus.manifest import Utterance, read_manifest
from amtts_core.corpus.morphemes import SpaceCounter
from amtts_core.corpus.report.model import CorpusReport, Histogram, Rejection, SpeakerHours, SplitSize
from amtts_core.corpus.report.suspects import Worst
from amtts_core.corpus.workspace import STATE
from amtts_core.errors import AmttsError
from amtts_core.text.amharic.letter_table import fidel_table, homophone
from amtts_core.text.ethiopic import letters
from amtts_core.units import Seconds

_WORST = 20
_SPEAKERS = 30
_EXAMPLES = 3


def _histograms() -> dict[str, Histogram]:
    shapes = {
        "duration": ("Duration", "s", 0.0, 0.5, 40),
        "letters_per_second": ("Letters per second", "letters/s", 0.0, 0.5, 40),
        "pace": ("Pace against the speaker's median", "times", 0.0, 0.1, 30),
        "snr": ("Signal to noise (estimate)", "dB", 0.0, 2.0, 40),
        "loudness": ("Loudness of the source", "LUFS", -60.0, 2.0, 30),
        "bandwidth": ("Bandwidth of the source", "Hz", -250.0, 500.0, 49),
    }
    return {
        name: Histogram(title=title, unit=unit, start=start, step=step, counts=[0] * bins)
        for name, (title, unit, start, step, bins) in shapes.items()
    }


def gather(folder: Path) -> CorpusReport:
    """Counts everything that the report shows.

    Args:
        folder: made by `amtts prepare` or `amtts merge`.

    Raises:
        AmttsError: it holds no manifest, or one that cannot be read.
    """
    if not (folder / MANIFEST).is_file():
        raise AmttsError(
            f"{folder} is no corpus folder: it holds no {MANIFEST}",
            remedy="Make one with: amtts prepare SOURCE --out DIR",
        )
    state = _state(folder)
    source, warnings = state.get("source"), state.get("warnings")
    report = CorpusReport(  # named after its source, so that the folder can be copied and compared
        corpus=_title(source) or folder.resolve().name,
        histograms=_histograms(),
        warnings=[str(warning) for warning in warnings] if isinstance(warnings, list) else [],
    )
    _Counts(report, folder).read(read_manifest(folder / MANIFEST))
    for row in _ledger(folder / LEDGER):
        report.rejected += 1
        entry = report.rejections.setdefault(str(row.get("rule", "unknown")), Rejection())
        entry.count += 1
        if len(entry.examples) < _EXAMPLES:
            named = row.get("source") or row.get("where") or row.get("id") or "?"
            entry.examples.append(f"{named}: {row.get('reason', '')}"[:300])
    ranked = sorted(report.rejections.items(), key=lambda entry: -entry[1].count)
    report.rejections = dict(ranked)
    report.total = report.kept + report.rejected
    return report


class _Counts:
    """What is counted while the manifest passes by."""

    def __init__(self, report: CorpusReport, folder: Path) -> None:
        self.report = report
        self._normalizer = corpus_normalizer(folder)
        self._characters: Counter[str] = Counter()
        self._spaces = SpaceCounter()
        self._worst = Worst(_WORST)
        self._clips: Counter[str] = Counter()
        self._spoken: dict[str, Seconds] = {}
        self._flags: Counter[str] = Counter()
        self._rates: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()

    def read(self, utterances: Iterator[Utterance]) -> None:
        """Counts all utterances and completes the report."""
        for utterance in utterances:
            self._add(utterance)
        report = self.report
        report.seconds = round(report.seconds, 3)
        for split in report.splits.values():
            split.seconds = round(split.seconds, 3)
        report.speaker_count = len([name for name in self._clips if name])
        report.speakers = self._ranked_speakers()
        report.flags = dict(self._flags.most_common())
        report.sample_rates = dict(self._rates.most_common())
        report.languages = dict(self._languages.most_common())
        report.worst = self._worst.list()
        report.spaces, report.suspicious_spaces = self._spaces.spaces, round(self._spaces.share, 4)
        self._letters()

    def _add(self, utterance: Utterance) -> None:
        report, extra = self.report, utterance.model_extra or {}
        spoken, seconds = utterance.spoken_text(), utterance.duration
        measures = extra["measures"] if isinstance(extra.get("measures"), dict) else {}
        report.kept += 1
        report.seconds += seconds
        split = report.splits.setdefault(str(extra.get("split", "")), SplitSize())
        split.utterances += 1
        split.seconds += seconds
        self._clips[utterance.speaker] += 1
        self._spoken[utterance.speaker] = self._spoken.get(utterance.speaker, 0.0) + seconds
        self._characters.update(spoken)
        self._spaces.add(utterance.text)
        self._rates[str(utterance.sample_rate or "unknown")] += 1
        self._languages[utterance.lang] += 1
        flags = extra.get("flags")
        self._flags.update(map(str, flags) if isinstance(flags, list) else ())
        pace = sum(map(str.isalpha, spoken)) / seconds
        values = {"letters_per_second": pace, **measures, "duration": seconds}
        for name, histogram in report.histograms.items():
            if isinstance(value := values.get(name), (int, float)):
                histogram.add(value)
        numbers = {name: value for name, value in measures.items() if isinstance(value, (int, float))}
        self._worst.add(utterance, numbers)

    def _ranked_speakers(self) -> list[SpeakerHours]:
        ranked = sorted(self._spoken, key=lambda name: (-self._spoken[name], name))
        rows = [
            SpeakerHours(
                speaker=name or "(not named)",
                utterances=self._clips[name],
                seconds=round(self._spoken[name], 3),
            )
            for name in ranked[:_SPEAKERS]
        ]
        if others := ranked[_SPEAKERS:]:
            clips, seconds = sum(self._clips[n] for n in others), sum(self._spoken[n] for n in others)
            rows.append(
                SpeakerHours(speaker=f"{len(others)} others", utterances=clips, seconds=round(seconds, 3))
            )
        return rows

    def _letters(self) -> None:
        report, counted = self.report, self._characters
        table = fidel_table()
        report.letters = {letter: counted[letter] for letter in table}
        sounding = {homophone(letter) for letter in table if counted[letter]}
        alike = set(self._languages) <= {"am"}
        report.letters_seen = sum(
            bool(counted[letter]) or (alike and homophone(letter) in sounding) for letter in table
        )
        others = set(letters()) - set(table)
        report.other_letters = {c: n for c, n in counted.most_common() if c in others}
        outside = self._normalizer.leftovers("".join(counted))
        report.leftovers = {c: n for c, n in counted.most_common() if c in outside}


def _ledger(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise AmttsError(f"{path}, line {number}: expected a JSON object", remedy="Prepare it again")
            yield row


def _title(source: object) -> str:
    names = [Path(str(name)).name for name in (source if isinstance(source, list) else [source]) if name]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _state(folder: Path) -> dict[str, Any]:
    """What `amtts prepare` stored about its run; empty where it made no note."""
    try:
        stored = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
