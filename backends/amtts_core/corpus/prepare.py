"""From a source to a corpus: the order of things, and what depends on more than one clip.

The work on a clip is `process.ClipProcessor`, the processes are `pool.run_ordered`, the memory between runs is
`journal.Journal`. Here they are put together; results are taken in the source's order, so the corpus is the same for
any number of processes and after any interruption.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amtts_core.corpus.executors import choose_executor
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers import Clip, Fault, Reading, ReadOptions, choose_importer, read_sources
from amtts_core.corpus.importers.base import WordTimes
from amtts_core.corpus.importers.hub import current_snapshot
from amtts_core.corpus.journal import Journal
from amtts_core.corpus.ledger import LEDGER, CorpusFiles
from amtts_core.corpus.prepare_report import PrepareReport, make_report
from amtts_core.corpus.process import ClipProcessor, ClipTask, Outcome, audio_name
from amtts_core.corpus.report.build import write_report
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.shard import shard_journals
from amtts_core.corpus.speaker_facts import find_speakers, read_speakers
from amtts_core.corpus.tasks import TaskStream, audio_size
from amtts_core.corpus.unpacked import Unpacked, remove_unpacked
from amtts_core.corpus.workspace import Workspace, writing
from amtts_core.errors import AmttsError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrepareProgress:
    """How far a run is; `total` is None where the source cannot be counted."""

    done: int
    total: int | None
    dropped: int
    reused: int
    set_aside: int = 0


def prepare_corpus(
    source: Path | Sequence[Path],
    out: Path,
    settings: PrepareSettings,
    *,
    importer: str = "",
    jobs: int = 0,
    executor: str = "local",
    force: bool = False,
    audio_root: Path | None = None,
    speakers: Path | None = None,
    word_times: WordTimes | None = None,
    on_progress: Callable[[PrepareProgress], None] | None = None,
) -> PrepareReport:
    """Makes a corpus of `source` in `out`; a run over an earlier one does only what is new.

    Args:
        source: folder or file, or several of them.
        out: folder; created, or left by an earlier run with the same settings.
        settings: all choices.
        importer: name of an importer; empty finds it by looking.
        jobs: processes; 0 takes every core. With more than one, a script that calls this needs the usual
            `if __name__ == "__main__":`, because the processes are spawned.
        executor: "local", or "ray", which gives the same corpus.
        force: do everything again, whatever settings and source `out` was made with.
        audio_root: another folder with recordings that the source names.
        speakers: table of license, consent and more by speaker; None takes the `speakers.tsv` of the sources.
        word_times: see `ReadOptions`.
        on_progress: called at the start and after each clip.

    Raises:
        AmttsError: source or out cannot be used, nothing is left, or more than `settings.max_rejected` is rejected
            (the ledger is written then, the manifests stay as they were).
    """
    run_ordered = choose_executor(executor)
    processor = ClipProcessor(
        settings, Path(os.path.realpath(out))
    )  # refuses unknown languages before anything is written
    given = [source] if isinstance(source, Path) else list(source)
    facts = read_speakers(speakers) if speakers is not None else find_speakers(given)
    name, reading, workspace = open_source(
        source, out, settings, importer=importer, force=force, audio_root=audio_root, word_times=word_times
    )
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(Journal(workspace.out))
        files = stack.enter_context(CorpusFiles(workspace.out, settings, facts))
        if workspace.redo:
            journal.forget_all()
        left = [] if workspace.redo else shard_journals(workspace.out)
        others = [stack.enter_context(Journal(workspace.out, shard)) for shard in left]
        run = _Run(name, settings, workspace, journal, files, processor)
        tasks = TaskStream(reading, journal, workspace, settings, others=others)
        if on_progress is not None:
            on_progress(PrepareProgress(0, reading.total, 0, 0))
        with contextlib.closing(run_ordered(processor, tasks, jobs=jobs)) as results:
            for task, outcome in results:
                run.take(task, outcome)
                if on_progress is not None:
                    aside = files.aside.total()
                    on_progress(PrepareProgress(files.total, reading.total, files.dropped, run.reused, aside))
        return run.finish(tasks.count, reading.warnings)


def open_source(
    source: Path | Sequence[Path],
    out: Path,
    settings: PrepareSettings,
    *,
    importer: str,
    force: bool,
    audio_root: Path | None = None,
    word_times: WordTimes | None = None,
) -> tuple[str, Reading, Workspace]:
    """The importer's name, what it reads, and the output folder, which is this run's from now on.

    Raises:
        AmttsError: source or out cannot be used, or the source is empty; nothing is written then.
    """
    given = [source] if isinstance(source, Path) else list(source)
    given = [current_snapshot(one) for one in given]
    options = read_options(settings, audio_root, word_times=word_times)
    unpacked = Unpacked(given, out)
    if unpacked.recordings is not None and options.audio_root is None:
        options = replace(options, audio_root=unpacked.recordings)
    try:
        return _open_unpacked(unpacked, out, settings, options, importer=importer, force=force)
    except AmttsError:
        unpacked.give_up()
        raise


def _open_unpacked(
    unpacked: Unpacked,
    out: Path,
    settings: PrepareSettings,
    options: ReadOptions,
    *,
    importer: str,
    force: bool,
) -> tuple[str, Reading, Workspace]:
    name, sources, reading = read_sources(
        unpacked.sources, lambda one: choose_importer(one, importer, options), options
    )
    sources = [unpacked.given.get(source, source) for source in sources]
    _log.info("%s", reading.summary)
    workspace = Workspace(
        out, sources=sources, root=reading.root, settings=settings, importer=name, force=force
    )
    first: list[Clip | Fault] = []
    for entry in itertools.islice(reading.entries, 16):
        first.append(entry)
        if isinstance(entry, Clip):
            workspace.refuse_overlap(entry.path)  # do they lie where the corpus would be written?
            if entry.data:
                break  # such clips stand in one file, and may be large
    if not first:
        raise AmttsError(
            f"{', '.join(map(str, sources))} holds no clip", remedy="Write one line a clip: audio_file|text"
        )
    workspace.claim()
    return name, replace(reading, entries=itertools.chain(first, reading.entries)), workspace


def read_options(
    settings: PrepareSettings, audio_root: Path | None, *, word_times: WordTimes | None = None
) -> ReadOptions:
    """The settings that importers read by.

    Args:
        settings: of the corpus.
        audio_root: another folder with recordings that the source names.
        word_times: as in `open_source`.

    Raises:
        AmttsError: `audio_root` is no folder.
    """
    if audio_root is not None and not audio_root.is_dir():
        raise AmttsError(
            f"--audio-root {audio_root} is no folder", remedy="Give the folder with the recordings"
        )
    return ReadOptions(
        columns=settings.columns,
        audio_root=audio_root,
        language=settings.normalizer.language,
        channel=settings.channel_number,
        speaker=settings.speaker,
        fit=settings.fit,
        word_times=word_times,
    )


@dataclass
class _Run:
    """What depends on more than one clip; `take` gets the results in the source's order."""

    importer: str
    settings: PrepareSettings
    workspace: Workspace
    journal: Journal
    files: CorpusFiles
    processor: ClipProcessor
    reused: int = 0
    conflicts: dict[str, Finding] = field(default_factory=dict)

    def take(self, task: ClipTask, outcome: Outcome) -> None:
        """Keeps or rejects a clip, given what became of it and of all clips before it."""
        finding = outcome.finding or self._other_text(task, outcome) or self._repetition(task, outcome)
        if finding is None:
            gone = task.known and audio_size(self.workspace.out, task) is None
            self.files.keep(task, outcome, remake=gone)
        else:
            self.files.reject(task, finding)
        if task.path:
            self.journal.record(task.id, task.fingerprint, outcome.model_dump_json(), kept=finding is None)
        self.reused += task.known

    def _other_text(self, task: ClipTask, outcome: Outcome) -> Finding | None:
        """Whether a whole recording stands with different texts: then none of them can be believed."""
        if task.start or task.end is not None:
            return None
        said = hashlib.blake2b(outcome.normalized_text.encode(), digest_size=8).hexdigest()
        place = f"{task.path}\0{task.source}\0{task.channel}"
        if self.journal.claim("whole", place, f"{said} {task.id}"):
            return None
        before, _, first = (self.journal.owner("whole", place) or "").partition(" ")
        if before == said:
            return None
        self.conflicts.setdefault(first, _several_texts(task.id))
        return _several_texts(first)

    def _repetition(self, task: ClipTask, outcome: Outcome) -> Finding | None:
        """Whether a clip that is kept has the same audio, or the same sentence of the same speaker."""
        voice = f"{task.speaker}\0{task.id}" if task.distinct else task.speaker
        said = hashlib.blake2b(f"{voice}\0{outcome.normalized_text}".encode(), digest_size=16).hexdigest()
        first = self.journal.owner("audio", outcome.audio_hash)
        if first is not None:
            return Finding(rule="duplicate-audio", reason=f"has the same audio as '{first}'", value=first)
        first = None if self.settings.repeated_text else self.journal.owner("text", said)
        if first is not None:
            return Finding(
                rule="duplicate-text", reason=f"its speaker says the same in '{first}'", value=first
            )
        self.journal.claim("audio", outcome.audio_hash, task.id)
        self.journal.claim("text", said, task.id)
        return None

    def finish(self, total: int, warnings: list[str]) -> PrepareReport:
        """Publishes the tables and clears away audio that nobody names, or fails with the reasons ranked.

        Args:
            total: entries that the source had.
            warnings: of the importer.
        """
        files, out = self.files, self.workspace.name
        files.settle(self.journal.reject, self.processor, self.conflicts)
        assert total == files.total, (
            f"{total} in, {files.kept} kept, {files.dropped} dropped, {files.aside} aside"
        )
        judged = files.kept + files.dropped
        if not files.kept or files.dropped > self.settings.max_rejected * judged:
            files.publish(LEDGER)
            self.workspace.write_state("failed", total=total, kept=files.kept, dropped=files.dropped)
            raise self._too_many_rejected(judged)
        files.publish()
        with writing(out):
            for identity in self.journal.superfluous():
                (self.workspace.out / audio_name(identity)).unlink(missing_ok=True)
            for part in (self.workspace.out / "audio").glob("*.part"):
                part.unlink()
        self.journal.drop_stale()
        remove_unpacked(self.workspace.out)
        report = make_report(
            files, out, self.settings, importer=self.importer, reused=self.reused, warnings=warnings
        )
        totals: dict[str, Any] = {"licenses": dict(files.licenses.most_common())}
        totals |= report.model_dump(
            include={"total", "kept", "dropped", "set_aside", "seconds", "reasons", "warnings"}
        )
        self.workspace.write_state("complete", **totals)
        write_report(self.workspace.out)
        return report

    def _too_many_rejected(self, total: int) -> AmttsError:
        files, limit = self.files, self.settings.max_rejected
        ranked = ", ".join(f"{count} {rule}" for rule, count in files.reasons.most_common())
        if files.aside:
            aside = ", ".join(f"{count} {rule}" for rule, count in files.aside.most_common())
            ranked = f"{ranked}; set aside: {aside}" if ranked else f"set aside: {aside}"
        share = math.ceil(100 * files.dropped / max(1, total)) / 100
        accept = f", or accept it with --max-rejected {share:g}" if files.kept else ""
        allowed = f"more than --max-rejected {limit:g} allows" if files.kept else "none is left"
        if len(files.reasons) == 1 and not files.aside:
            ranked += f" ({files.examples[next(iter(files.reasons))]})"
        return AmttsError(
            f"{files.dropped} of {total} clips rejected, {allowed}: {ranked}",
            remedy=f"See {self.workspace.name / LEDGER} for each{accept}",
        )


def _several_texts(other: str) -> Finding:
    reason = f"its recording stands with another text too, as '{other}'; start and end would say which part is spoken"
    return Finding(rule="several-texts", reason=reason, value=other)
