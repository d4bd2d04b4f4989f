"""What leaves `prepare`: manifest and splits of the kept clips, and one ledger row for each clip that is not kept."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import IO

from amtts_core.data.filters import Finding
from amtts_core.data.manifest import Utterance, json_line
from amtts_core.data.morphemes import SpaceCounter
from amtts_core.data.process import ClipTask, Outcome, audio_name
from amtts_core.data.settings import PrepareSettings
from amtts_core.data.split import SPLITS, Split, split_of
from amtts_core.data.workspace import writing
from amtts_core.units import Seconds

MANIFEST = "manifest.jsonl"
LEDGER = "rejected.jsonl"
_FILES = (MANIFEST, LEDGER, *(f"{split}.jsonl" for split in SPLITS))


class CorpusFiles:
    """Writes the corpus' tables as a stream beside their final names; nothing is replaced before `publish`.

    Attributes:
        kept: clips in the manifest.
        reasons: rule -> rejected clips.
        splits: split -> clips.
        seconds: split -> seconds of speech.
        speakers: speaker -> clips.
        leftovers: characters outside of the language's symbols -> how often.
        spaces: counts the spaces of all texts, and those inside of words.
    """

    def __init__(self, out: Path, settings: PrepareSettings) -> None:
        self._out, self._settings = out, settings
        self._handles: dict[str, IO[str]] = {}
        self.kept = 0
        self.reasons: Counter[str] = Counter()
        self.splits: Counter[Split] = Counter(dict.fromkeys(SPLITS, 0))
        self.seconds: dict[Split, Seconds] = dict.fromkeys(SPLITS, 0.0)
        self.speakers: Counter[str] = Counter()
        self.leftovers: Counter[str] = Counter()
        self.spaces = SpaceCounter()

    def __enter__(self) -> CorpusFiles:
        with writing(self._out):
            for name in _FILES:
                self._handles[name] = self._temporary(name).open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handle in self._handles.items():
            with contextlib.suppress(OSError):  # a full disk was told already
                handle.close()
            self._temporary(name).unlink(missing_ok=True)

    @property
    def dropped(self) -> int:
        """Clips in the ledger."""
        return self.reasons.total()

    def keep(self, task: ClipTask, outcome: Outcome) -> None:
        """Adds a clip to the manifest and to its split."""
        settings = self._settings
        split = split_of(outcome.normalized_text, val=settings.val, test=settings.test)
        span = (
            {}
            if not task.start and task.end is None
            else {"source_start": task.start, "source_end": task.end}
        )
        row = Utterance.model_validate(
            {
                **task.tags,
                "id": task.id,
                "audio_filepath": audio_name(task.id),
                "duration": outcome.duration,
                "text": task.text,
                "normalized_text": outcome.normalized_text,
                "speaker": task.speaker,
                "lang": settings.normalizer.language,
                "sample_rate": settings.sample_rate,
                "source": task.source,
                "split": split,
                **span,
            }
        )
        line = json_line(row.model_dump(exclude_none=True))
        self._write(MANIFEST, line)
        self._write(f"{split}.jsonl", line)
        self.kept += 1
        self.splits[split] += 1
        self.seconds[split] += outcome.duration
        self.speakers[task.speaker] += 1
        self.leftovers.update(outcome.leftovers)
        self.spaces.add(task.text)

    def reject(self, task: ClipTask, finding: Finding) -> None:
        """Adds a clip to the ledger."""
        row = {
            "id": task.id,
            "where": task.where,
            "source": task.source,
            "speaker": task.speaker,
            "text": task.text,
            **finding.model_dump(),
        }
        self._write(LEDGER, json_line(row))
        self.reasons[finding.rule] += 1

    def publish(self, *names: str) -> None:
        """Replaces the named files, all where none is named, by what was written."""
        with writing(self._out):
            for name in names or _FILES:
                self._handles[name].close()
                self._temporary(name).replace(self._out / name)

    def _write(self, name: str, line: str) -> None:
        with writing(self._out / name):
            self._handles[name].write(line)

    def _temporary(self, name: str) -> Path:
        return self._out / (name + ".tmp")
