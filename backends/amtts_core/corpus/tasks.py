"""From the entries of a source to tasks: an id and a fingerprint each, and what an earlier run left of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from amtts_core.corpus.importers import Clip, Fault, Reading
from amtts_core.corpus.journal import Journal
from amtts_core.corpus.naming import unique_id
from amtts_core.corpus.process import ClipTask, Outcome, audio_name
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.shard import Shard
from amtts_core.corpus.workspace import Workspace


def audio_size(out: Path, task: ClipTask) -> int | None:
    """Size in bytes of a clip's written audio; None where there is none."""
    try:
        return (out / audio_name(task.id)).stat().st_size
    except OSError:
        return None


class TaskStream:
    """The tasks of a source, made while they are consumed.

    Attributes:
        count: entries of the source so far.
    """

    def __init__(
        self,
        reading: Reading,
        journal: Journal,
        workspace: Workspace,
        settings: PrepareSettings,
        *,
        shard: Shard | None = None,
        others: Sequence[Journal] = (),
    ) -> None:
        self._reading, self._journal, self._workspace, self._settings = reading, journal, workspace, settings
        self._shard, self._others = shard, others
        self.count = 0

    def __iter__(self) -> Iterator[tuple[ClipTask, Outcome | None]]:
        """Every entry of the source, in order, with its outcome where that is known."""
        settings_hash = self._settings.processing_hash()
        for entry in self._reading.entries:
            self.count += 1
            if self._shard is not None and not self._shard.holds(self.count - 1):
                self._name(entry)  # ids are given in the source's order, whoever does the work
                continue
            task = self._task(entry, settings_hash)
            if isinstance(entry, Fault):
                yield task, Outcome(finding=entry.finding)
                continue
            self._workspace.refuse_overlap(entry.path)
            known = self._known(task)
            yield (task, None) if known is None else (replace(task, known=True, data=b""), known)

    def _task(self, entry: Clip | Fault, settings_hash: str) -> ClipTask:
        speaker = entry.speaker or self._settings.speaker
        identity = self._name(entry)
        if isinstance(entry, Fault):
            return ClipTask(
                id=identity, where=entry.where, source=entry.source, text=entry.text, speaker=speaker
            )
        what = [entry.source, entry.text, entry.spoken, speaker, entry.start, entry.end, settings_hash]
        if entry.channel is not None or entry.track is not None:
            what += [entry.channel, entry.track]
        if entry.length is not None:
            what.append({"length": entry.length})
        if entry.data:
            what.append(hashlib.blake2b(entry.data, digest_size=16).hexdigest())
        with contextlib.suppress(OSError):  # gone since it was found: the processor says so
            status = entry.path.stat()
            what += [status.st_size, status.st_mtime_ns]
        text = json.dumps(what, ensure_ascii=False)
        return ClipTask(
            id=identity,
            where=entry.where,
            path=str(entry.path),
            source=entry.source,
            text=entry.text,
            spoken=entry.spoken,
            speaker=speaker,
            start=entry.start,
            end=entry.end,
            length=entry.length,
            channel=entry.channel,
            track=entry.track,
            data=entry.data,
            tags=dict(entry.tags),
            distinct=entry.distinct,
            fingerprint=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
        )

    def _name(self, entry: Clip | Fault) -> str:
        if isinstance(entry, Clip):
            distinguishing = json.dumps([entry.text, entry.start, entry.end], ensure_ascii=False)
            return self._identity(entry, distinguishing)
        return self._identity(entry, entry.text) if entry.source else ""

    def _identity(self, entry: Clip | Fault, distinguishing: str) -> str:
        def take(name: str) -> bool:
            return self._journal.claim("id", name.casefold(), name)

        # a name is no path: its slashes and dots are letters
        named = entry.name.replace("/", "_").replace("\\", "_") + ".name" if entry.name else entry.source
        return unique_id(named, distinguishing, take)

    def _known(self, task: ClipTask) -> Outcome | None:
        """The outcome that an earlier run or a shard left, if its audio is still what that wrote."""
        own = self._journal.entry(task.id)
        for entry in (own, *(journal.entry(task.id) for journal in self._others)):
            if entry is None or entry.fingerprint != task.fingerprint:
                continue
            outcome = Outcome.model_validate_json(entry.outcome)
            size = audio_size(self._workspace.out, task)
            # The audio of a duplicate was deleted; the run makes it again should the clip be kept now.
            again = () if task.data else (None,)  # a task that carries its audio is not kept for later
            if outcome.finding is not None or size in (*again, outcome.audio_bytes):
                return outcome
        if own is not None and own.fingerprint:
            self._journal.forget(task.id)
        return None
