"""Measures systems of speech on one set of texts: a plain function that returns data.

Knows nothing of printing and pages.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.audio.io import read_audio
from amtts_core.corpus.executors import choose_executor
from amtts_core.errors import AmttsError
from amtts_core.evaluation.items import TestItem
from amtts_core.evaluation.measures import RATE, Measures, Row
from amtts_core.evaluation.settings import EvaluationSettings
from amtts_core.evaluation.signal import sounding
from amtts_core.evaluation.summary import Finding, Summary, compare, subsets_of, summarize
from amtts_core.evaluation.systems import (
    RECORDINGS,
    CheckpointSystem,
    FolderSystem,
    RecordedSystem,
    Spoken,
    System,
    at_rate,
)
from amtts_core.memory import peak_memory

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Evaluation:
    """What was measured.

    Attributes:
        items: the texts.
        rows: system -> one row a text that it has spoken, in the order of the items.
        summaries: one a system and subset.
        findings: the first system that is no recording against each other one; recordings against the first, too.
        systems: system -> what it is.
        recognizer: name and identity; empty where none was asked.
        skipped: groups of figures that were not measured, and why.
        silent: system -> ids of texts for which its speech holds no sound.
        seconds: that it took.
    """

    items: list[TestItem]
    rows: dict[str, list[Row]]
    summaries: list[Summary] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)
    recognizer: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    silent: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def summary(self, system: str, subset: str = "all") -> Summary | None:
        """The summary of a system over a subset, where there is one."""
        return next((s for s in self.summaries if (s.system, s.subset) == (system, subset)), None)


def evaluate(
    systems: Sequence[System],
    items: Sequence[TestItem],
    *,
    settings: EvaluationSettings | None = None,
    work: Path,
    executor: str = "local",
    jobs: int = 1,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Measures every system on every item, the recordings of the items among them.

    Memory follows `settings.batch`, not the number of items. Speech that a checkpoint has spoken and all scores stay in
    `work`, so that an interrupted evaluation goes on where it stopped.

    Args:
        systems: sources of speech, each with a name of its own.
        items: what they speak.
        settings: what is measured.
        work: folder for speech and cached scores; other machines of an executor need it under the same path.
        executor: "local" or "ray".
        jobs: batches at a time; 0 as many as there are cores. One local job works in this process.
        on_progress: called with (system, items done, items in all).

    Raises:
        AmttsError: no item, two systems of one name, a system without any speech, or a metric that is required and
            whose package is missing, or a system that is silent.
    """
    settings = settings or EvaluationSettings()
    _check(systems, items)
    began = time.monotonic()
    cache = work / "scores.sqlite"
    every: list[System] = [*([RecordedSystem()] if any(item.audio for item in items) else []), *systems]
    found = Evaluation(items=list(items), rows={system.name: [] for system in every})
    recognizer = _measures(settings, cache).recognizer
    if recognizer is not None:
        found.recognizer = {"name": recognizer.name, "identity": recognizer.identity}
    run = _alone if executor == "local" and jobs == 1 else choose_executor(executor, together=1)
    done: Counter[str] = Counter()
    try:
        tasks = _batches(every, items, settings.batch)
        for batch, measured in run(partial(_measure, settings, cache), tasks, jobs=jobs):
            name = batch.system.name
            found.rows[name] += measured.rows
            found.skipped |= measured.skipped
            if measured.silent:
                found.silent.setdefault(name, []).extend(measured.silent)
            done[name] += len(batch.items)
            if on_progress:
                on_progress(name, done[name], len(items))
    finally:
        _measures(settings, cache).close()
        _measures.cache_clear()
    for system in every:
        if not found.rows[system.name]:
            raise _mute(system, items)
        silent = len(found.silent.get(system.name, []))
        if silent == len(found.rows[system.name]):
            raise AmttsError(
                f"system '{system.name}' is silent: none of its {silent} files holds a sound: {system.where}",
                remedy="Listen to one of them; a voice may have to be trained again",
            )
        found.systems[system.name] = {**system.description, **_costs(system, found.rows[system.name])}
    _conclude(found, settings)
    found.seconds = time.monotonic() - began
    return found


def _alone(
    do: Callable[[_Batch], _Measured], tasks: Iterable[tuple[_Batch, _Measured | None]], *, jobs: int = 1
) -> Generator[tuple[_Batch, _Measured], None, None]:
    """An `Executor` of this process: models are opened once, and a voice's memory can be measured."""
    for batch, _ in tasks:
        yield batch, do(batch)


def _check(systems: Sequence[System], items: Sequence[TestItem]) -> None:
    if not items:
        raise AmttsError(
            "there is no text to evaluate", remedy="Give --manifest, or leave out --no-public-list"
        )
    names = [system.name for system in systems]
    for name in names:
        if names.count(name) > 1 or name == RECORDINGS:
            raise AmttsError(f"two systems have the name '{name}'", remedy="Give names: --name A --name B")
    for system in systems:
        if isinstance(system, FolderSystem) and not system.has_any(items):
            raise _mute(system, items)


def _mute(system: System, items: Sequence[TestItem]) -> AmttsError:
    return AmttsError(
        f"system '{system.name}' has no speech for any of {len(items)} texts: {system.where}",
        remedy="Name each file by the id of its line in the manifest or the public list",
    )


@dataclass(frozen=True)
class _Batch:
    """What one process measures at a time."""

    system: System
    items: tuple[TestItem, ...]


@dataclass(frozen=True)
class _Measured:
    """What came of it; `skipped` as in `Evaluation`."""

    rows: list[Row]
    skipped: dict[str, str]
    silent: list[str]


@lru_cache(maxsize=1)
def _measures(settings: EvaluationSettings, cache: Path) -> Measures:
    """The models and the cache of this process."""
    return Measures(settings, cache)


def _measure(settings: EvaluationSettings, cache: Path, batch: _Batch) -> _Measured:
    """One batch; the work that an executor shares out."""
    measures = _measures(settings, cache)
    spoken = list(batch.system.spoken(batch.items))
    if batch.system.name == RECORDINGS:
        rows = measures.rows(spoken, {}, system=RECORDINGS, others=_other_recordings(spoken))
    else:
        rows = measures.rows(spoken, _recordings(spoken), system=batch.system.name)
    silent = [s.item.id for s in spoken if not sounding(s.waveform, s.rate).any()]
    return _Measured(rows, dict(measures.skipped), silent)


def _batches(
    systems: Sequence[System], items: Sequence[TestItem], size: int
) -> Iterator[tuple[_Batch, _Measured | None]]:
    for system in systems:
        for start in range(0, len(items), size):
            yield _Batch(system, tuple(items[start : start + size])), None


def _recordings(batch: Sequence[Spoken]) -> dict[str, np.ndarray]:
    found = {}
    for spoken in batch:
        item = spoken.item
        if item.audio is not None:
            found[item.id] = read_audio(
                item.audio, sample_rate=RATE, offset=item.offset, duration=item.duration or None
            )
    return found


def _other_recordings(batch: Sequence[Spoken]) -> dict[str, np.ndarray]:
    """For each recording another one of the same speaker: how alike recordings of one speaker are is the floor."""
    found = {}
    for place, spoken in enumerate(batch):
        for other in (*batch[place + 1 :], *batch[:place]):
            if other.item.speaker == spoken.item.speaker:
                found[spoken.item.id] = at_rate(other.waveform, other.rate, RATE)
                break
    return found


def _costs(system: System, rows: Sequence[Row]) -> dict[str, Any]:
    """Peak memory of the process and time to the first sound; only for a system that speaks here."""
    if not isinstance(system, CheckpointSystem):
        return {}
    shortest = min(rows, key=lambda row: len(row.text))
    item = TestItem(id=shortest.id, text=shortest.text, reference=shortest.reference)
    return {
        "first_sound_seconds": system.first_sound(item),
        "peak_memory_mb": peak_memory() / 2**20,
    }


def _conclude(found: Evaluation, settings: EvaluationSettings) -> None:
    for name, rows in found.rows.items():
        for subset, chosen in subsets_of(rows).items():
            found.summaries.append(summarize(chosen, system=name, subset=subset, seed=settings.seed))
    names = list(found.rows)
    pairs = [(names[0], other) for other in names[1:]]
    if names[0] == RECORDINGS:
        pairs += [(names[1], other) for other in names[2:]]
    for first, second in pairs:
        found.findings += compare(found.rows[first], found.rows[second], seed=settings.seed)
