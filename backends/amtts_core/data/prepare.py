"""From a source to a corpus: the order of things, and what depends on more than one clip.

The work on a clip is `process.ClipProcessor`, the processes are `pool.run_ordered`, the memory between runs is
`journal.Journal`. Here they are put together; results are taken in the source's order, so the corpus is the same for
any number of processes and after any interruption.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, Field

from amtts_core.data.filters import Finding
from amtts_core.data.importers import Clip, Fault, Reading, choose_importer
from amtts_core.data.journal import Journal
from amtts_core.data.ledger import LEDGER, MANIFEST, CorpusFiles
from amtts_core.data.naming import unique_id
from amtts_core.data.pool import run_ordered
from amtts_core.data.process import ClipProcessor, ClipTask, Outcome, audio_name
from amtts_core.data.settings import PrepareSettings
from amtts_core.data.split import SPLITS
from amtts_core.data.workspace import Workspace, writing
from amtts_core.errors import AmttsError
from amtts_core.units import Seconds


class SplitReport(BaseModel):
    """Size of one split."""

    utterances: int
    seconds: Seconds


class PrepareReport(BaseModel):
    """What a run did; `total == kept + dropped`."""

    out: str
    manifest: str
    importer: str
    total: int
    kept: int
    dropped: int
    reused: int = Field(description="clips whose result an earlier run had left")
    reasons: dict[str, int] = Field(description="rule -> rejected clips, most frequent first")
    seconds: Seconds = Field(description="speech that is kept")
    splits: dict[str, SplitReport]
    speakers: int
    leftovers: dict[str, int] = Field(
        description="characters the language has no symbol for, most frequent first"
    )
    warnings: list[str]


@dataclass(frozen=True)
class PrepareProgress:
    """How far a run is; `total` is None where the source cannot be counted."""

    done: int
    total: int | None
    dropped: int
    reused: int


def prepare_corpus(
    source: Path,
    out: Path,
    settings: PrepareSettings,
    *,
    importer: str = "",
    jobs: int = 0,
    force: bool = False,
    on_progress: Callable[[PrepareProgress], None] | None = None,
) -> PrepareReport:
    """Makes a corpus of `source` in `out`; a run over an earlier one does only what is new.

    Args:
        source: folder or file.
        out: folder; created, or left by an earlier run with the same settings.
        settings: all choices.
        importer: name of an importer; empty finds it by looking.
        jobs: processes; 0 takes every core.
        force: do everything again, whatever settings and source `out` was made with.
        on_progress: called after each clip.

    Raises:
        AmttsError: source or out cannot be used, nothing is left, or more than `settings.max_rejected` is rejected
            (the ledger is written then, the manifests stay as they were).
    """
    chosen = choose_importer(source, importer)
    processor = ClipProcessor(settings, Path(os.path.realpath(out)))
    reading = chosen.read(source)
    workspace = Workspace(
        out, source=source, root=reading.root, settings=settings, importer=chosen.name, force=force
    )
    with Journal(workspace.out) as journal, CorpusFiles(workspace.out, settings) as files:
        workspace.write_state("running")
        if workspace.redo:
            journal.forget_all()
        run = _Run(source, chosen.name, settings, workspace, journal, files, processor)
        with contextlib.closing(run_ordered(processor, run.tasks(reading), jobs=jobs)) as results:
            for task, outcome in results:
                run.take(task, outcome)
                if on_progress is not None:
                    done = files.kept + files.dropped
                    on_progress(PrepareProgress(done, reading.total, files.dropped, run.reused))
        return run.finish()


class _Run:
    """One run's state; `tasks` is pulled while `take` gets the results, in the same order."""

    def __init__(
        self,
        source: Path,
        importer: str,
        settings: PrepareSettings,
        workspace: Workspace,
        journal: Journal,
        files: CorpusFiles,
        processor: ClipProcessor,
    ) -> None:
        self.source, self.importer, self.settings = source, importer, settings
        self.workspace, self.journal, self.files, self.processor = workspace, journal, files, processor
        self.entries = self.reused = 0

    def tasks(self, reading: Reading) -> Iterator[tuple[ClipTask, Outcome | None]]:
        """Every entry of the source with an id, and with its outcome where that is known."""
        settings_hash = self.settings.processing_hash()
        for entry in reading.entries:
            self.entries += 1
            task = self._task(entry, settings_hash)
            if isinstance(entry, Fault):
                yield task, Outcome(finding=entry.finding)
                continue
            self.workspace.refuse_overlap(entry.path)
            known = self._known(task)
            yield (task, None) if known is None else (replace(task, known=True), known)

    def _task(self, entry: Clip | Fault, settings_hash: str) -> ClipTask:
        speaker = entry.speaker or self.settings.speaker
        if isinstance(entry, Fault):
            identity = self._identity(entry.source, entry.text) if entry.source else ""
            return ClipTask(
                id=identity, where=entry.where, source=entry.source, text=entry.text, speaker=speaker
            )
        distinguishing = json.dumps([entry.text, entry.start, entry.end], ensure_ascii=False)
        what = [entry.source, entry.text, entry.spoken, speaker, entry.start, entry.end, settings_hash]
        try:
            status = entry.path.stat()
            what += [status.st_size, status.st_mtime_ns]
        except OSError:
            pass  # gone since it was found; the processor says so
        text = json.dumps(what, ensure_ascii=False)
        return ClipTask(
            id=self._identity(entry.source, distinguishing),
            where=entry.where,
            path=str(entry.path),
            source=entry.source,
            text=entry.text,
            spoken=entry.spoken,
            speaker=speaker,
            start=entry.start,
            end=entry.end,
            fingerprint=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
        )

    def _identity(self, source: str, distinguishing: str) -> str:
        def take(name: str) -> bool:
            return self.journal.claim("id", name.casefold(), name) is None

        return unique_id(source, distinguishing, take)

    def _known(self, task: ClipTask) -> Outcome | None:
        """The outcome that an earlier run left, if its audio is still what that run wrote."""
        entry = self.journal.entry(task.id)
        if entry is None:
            return None
        if entry.fingerprint == task.fingerprint:
            outcome = Outcome.model_validate_json(entry.outcome)
            size = self._audio_size(task)
            # The audio of a duplicate was deleted; `take` makes it again should the clip be kept now.
            if outcome.finding is not None or size in (None, outcome.audio_bytes):
                return outcome
        if entry.fingerprint:
            self.journal.forget(task.id)
        return None

    def _audio_size(self, task: ClipTask) -> int | None:
        try:
            return (self.workspace.out / audio_name(task.id)).stat().st_size
        except OSError:
            return None

    def take(self, task: ClipTask, outcome: Outcome) -> None:
        """Keeps or rejects a clip, given what became of it and of all clips before it."""
        finding = outcome.finding or self._repetition(task, outcome)
        if finding is None and task.known and self._audio_size(task) is None:
            outcome = self.processor(task)
            task = replace(task, known=False)
            finding = outcome.finding
        if finding is None:
            self.files.keep(task, outcome)
        else:
            self.files.reject(task, finding)
        if task.path:
            self.journal.record(task.id, task.fingerprint, outcome.model_dump_json(), kept=finding is None)
        self.reused += task.known

    def _repetition(self, task: ClipTask, outcome: Outcome) -> Finding | None:
        first = self.journal.claim("audio", outcome.audio_hash, task.id)
        if first is not None:
            return Finding(rule="duplicate-audio", reason=f"has the same audio as '{first}'", value=first)
        if self.settings.repeated_text:
            return None
        said = hashlib.blake2b(
            f"{task.speaker}\0{outcome.normalized_text}".encode(), digest_size=16
        ).hexdigest()
        first = self.journal.claim("text", said, task.id)
        if first is None:
            return None
        return Finding(
            rule="duplicate-text", reason=f"the same speaker says the same in '{first}'", value=first
        )

    def finish(self) -> PrepareReport:
        """Publishes the tables and clears away audio that nobody names, or fails with the reasons ranked."""
        files, out = self.files, self.workspace.name
        total, dropped = self.entries, files.dropped
        assert total == files.kept + dropped, f"{total} clips in, {files.kept} kept and {dropped} dropped"
        if not total:
            self.workspace.write_state("failed")
            raise AmttsError(f"{self.source} holds no clip", remedy="Write one line a clip: audio_file|text")
        ranked = ", ".join(f"{count} {rule}" for rule, count in files.reasons.most_common())
        if not files.kept or dropped > self.settings.max_rejected * total:
            files.publish(LEDGER)
            self.workspace.write_state("failed", total=total, kept=files.kept, dropped=dropped)
            share = math.ceil(100 * dropped / total) / 100
            accept = f", or accept it with --max-rejected {share:g}" if files.kept else ""
            raise AmttsError(
                f"{dropped} of {total} clips rejected, more than --max-rejected {self.settings.max_rejected:g} "
                f"allows: {ranked}",
                remedy=f"See {out / LEDGER} for each{accept}",
            )
        files.publish()
        with writing(out):
            for identity in self.journal.superfluous():
                (self.workspace.out / audio_name(identity)).unlink(missing_ok=True)
            for part in (self.workspace.out / "audio").glob("*.part"):
                part.unlink()
        self.journal.drop_stale()
        report = self._report()
        self.workspace.write_state(
            "complete",
            total=total,
            kept=report.kept,
            dropped=dropped,
            seconds=report.seconds,
            reasons=report.reasons,
        )
        return report

    def _report(self) -> PrepareReport:
        files, settings = self.files, self.settings
        warnings = [
            f"the {split} split is empty: {files.kept} utterances are too few for --{split} {share:g}"
            for split, share in zip(SPLITS[1:], (settings.val, settings.test), strict=True)
            if share and not files.splits[split]
        ]
        leftovers = dict(files.leftovers.most_common())
        if leftovers:
            shown = " ".join(f"{character!r} {count}" for character, count in list(leftovers.items())[:10])
            warnings.append(f"characters outside of the language's symbols are left in the text: {shown}")
        return PrepareReport(
            out=str(self.workspace.name),
            manifest=str(self.workspace.name / MANIFEST),
            importer=self.importer,
            total=self.entries,
            kept=files.kept,
            dropped=files.dropped,
            reused=self.reused,
            reasons=dict(files.reasons.most_common()),
            seconds=round(sum(files.seconds.values()), 3),
            splits={
                split: SplitReport(utterances=files.splits[split], seconds=round(files.seconds[split], 3))
                for split in SPLITS
            },
            speakers=len(files.speakers),
            leftovers=leftovers,
            warnings=warnings,
        )
