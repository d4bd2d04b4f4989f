"""What leaves `prepare`: manifest and splits of the kept clips, and one ledger row for each clip that is not kept."""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from amtts_core.corpus.filters import ASIDE, Finding
from amtts_core.corpus.manifest import Utterance
from amtts_core.corpus.morphemes import SpaceCounter
from amtts_core.corpus.pace import SpeakerPace, judge_pace
from amtts_core.corpus.process import ClipTask, Outcome, audio_name
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.speaker_facts import SPEAKERS, SpeakerFacts, speakers_table
from amtts_core.corpus.split import SPLITS, FewForValidation, Split, place_of, split_of
from amtts_core.corpus.workspace import writing
from amtts_core.storage.atomic import replace_text
from amtts_core.storage.json_lines import json_line
from amtts_core.units import Seconds

MANIFEST = "manifest.jsonl"
LEDGER = "rejected.jsonl"
_WAITING = "kept.jsonl"  # between the two passes; never published
_ASIDE = "\0"  # what the second pass needs and the manifest does not; no tag has this name
TWO_SIDES = "two-sides"
"""The flag of a clip whose two channels hold sound of their own, as with a person on each side."""
_NO_CONFLICTS: Mapping[str, Finding] = {}
_FACTS = ("gender", "age", "accent", "dialect")  # of speakers, that stand in each of their rows
_FILES = (MANIFEST, LEDGER, *(f"{split}.jsonl" for split in SPLITS))


class CorpusFiles:
    """Writes the corpus' tables as a stream beside their final names; nothing is replaced before `publish`.

    Attributes:
        kept: clips in the manifest, or waiting for the second pass.
        reasons: rule -> rejected clips.
        examples: rule -> reason of the first clip that it rejected.
        aside: rule -> entries that are no clips of this corpus, see `filters.ASIDE`.
        flags: rule -> clips that are kept, but stand out.
        splits: split -> clips.
        seconds: split -> seconds of speech.
        speakers: speaker -> clips.
        leftovers: characters outside of the language's symbols -> how often.
        guesses: words that were read by guess -> how often.
        left_out: what was left out of texts as no text, such as emoji and markup -> how often.
        spaces: counts the spaces of all texts, and those inside of words.
        licenses: license -> clips; "" for those that state none.
        speech: speaker -> seconds of speech.
    """

    def __init__(self, out: Path, settings: PrepareSettings, facts: SpeakerFacts = SpeakerFacts()) -> None:
        self._out, self._settings, self._facts = out, settings, facts
        self._handles: dict[str, IO[str]] = {}
        self.kept = 0
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.aside: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self._pace = SpeakerPace()
        self._few = FewForValidation()
        self.splits: Counter[Split] = Counter(dict.fromkeys(SPLITS, 0))
        self.seconds: dict[Split, Seconds] = dict.fromkeys(SPLITS, 0.0)
        self.speakers: Counter[str] = Counter()
        self.leftovers: Counter[str] = Counter()
        self.guesses: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.spaces = SpaceCounter()
        self.licenses: Counter[str] = Counter()
        self.speech: defaultdict[str, float] = defaultdict(float)

    def __enter__(self) -> CorpusFiles:
        with writing(self._out):
            for name in (*_FILES, _WAITING):
                self._handles[name] = self._temporary(name).open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handle in self._handles.items():
            with contextlib.suppress(OSError):  # a full disk was reported already
                handle.close()
            with contextlib.suppress(OSError):
                self._temporary(name).unlink(missing_ok=True)

    @property
    def dropped(self) -> int:
        """Clips in the ledger that were judged."""
        return self.reasons.total()

    @property
    def total(self) -> int:
        """All entries of the source so far."""
        return self.kept + self.dropped + self.aside.total()

    def keep(self, task: ClipTask, outcome: Outcome, *, remake: bool = False) -> None:
        """First pass: a clip that can be kept by itself waits for those that its speaker's habit is drawn from.

        Args:
            task: of the clip.
            outcome: of the clip.
            remake: its audio is not there any more; it is made again if the second pass keeps the clip.
        """
        settings = self._settings
        span = (
            {}
            if not task.start and task.end is None
            else {"source_start": task.start, "source_end": task.end}
        )
        row = Utterance.model_validate(
            {
                **self._tags(task),
                "id": task.id,
                "audio_filepath": audio_name(task.id),
                "duration": outcome.duration,
                "text": task.text,
                "normalized_text": outcome.normalized_text,
                "speaker": task.speaker,
                "lang": settings.normalizer.language,
                "sample_rate": settings.sample_rate,
                "source": task.source,
                "split": split_of(outcome.normalized_text, val=settings.val, test=settings.test),
                **span,
                "measures": outcome.measures(),
            }
        )
        counts = [outcome.leftovers, outcome.guesses, outcome.left_out]
        waiting = row.model_dump(exclude_none=True) | {
            _ASIDE: [
                task.where,
                *counts,
                _without_audio(task) if remake else None,
                outcome.sides_differ,
            ]
        }
        self._write(_WAITING, json_line(waiting))
        self.kept += 1
        self._pace.add(task.speaker, outcome.letters_per_second)
        self._few.add(outcome.normalized_text, row.model_extra["split"] if row.model_extra else "train")

    def _tags(self, task: ClipTask) -> dict[str, str]:
        """More fields of a row; what it says of itself counts before what is said of its speaker, and of all."""
        facts = self._facts.of(task.speaker)
        tags = {name: facts[name] for name in _FACTS if name in facts} | dict(task.tags)
        license = tags.pop("licence", "") or tags.pop("license", "") or facts.get("license", "")
        license = license or self._settings.license
        return tags | ({"license": license} if license else {})

    def settle(
        self,
        on_reject: Callable[[str], None],
        make: Callable[[ClipTask], Outcome],
        conflicts: Mapping[str, Finding] = _NO_CONFLICTS,
    ) -> None:
        """Second pass: judges the waiting clips by their speakers' pace and writes manifest and splits.

        Args:
            make: called for each kept clip whose audio is missing.
            on_reject: called with the id of each clip that is not kept after all.
            conflicts: clips that are not kept after all because of another one, and why.
        """
        with writing(self._out):
            self._handles[_WAITING].close()
        validating = self._few.chosen(val=self._settings.val)
        with self._temporary(_WAITING).open(encoding="utf-8") as waiting:
            for line in waiting:
                row = json.loads(line)
                where, leftovers, guesses, left_out, task, sides_differ = row.pop(_ASIDE)
                measures = row["measures"]
                ratio = self._pace.ratio(row["speaker"], measures["letters_per_second"])
                measures["pace"] = round(ratio, 3)
                finding = None if self._settings.pace == "off" else judge_pace(ratio, self._settings)
                reject = finding is not None and self._settings.pace == "reject"
                if row["id"] in conflicts:
                    finding, reject = conflicts[row["id"]], True
                if task is not None and not reject:
                    missing = make(ClipTask(**task)).finding
                    finding, reject = missing or finding, missing is not None
                if finding is not None and reject:
                    self.kept -= 1
                    self._reject(row, where, finding)
                    on_reject(row["id"])
                    continue
                flags = [finding.rule] if finding is not None else []
                flags += [TWO_SIDES] if sides_differ else []
                if flags:
                    row["flags"] = flags
                    self.flags.update(flags)
                self.guesses.update(guesses)
                if validating and row["split"] == "train" and place_of(row["normalized_text"]) in validating:
                    row["split"] = "val"
                self.left_out.update(left_out)
                self._publish_row(row, leftovers)

    def reject(self, task: ClipTask, finding: Finding) -> None:
        """Adds a clip to the ledger."""
        row = {"id": task.id, "source": task.source, "speaker": task.speaker, "text": task.text}
        self._reject(row, task.where, finding)

    def _reject(self, row: dict[str, Any], where: str, finding: Finding) -> None:
        names = {name: row[name] for name in ("source", "speaker", "text")}
        self._write(LEDGER, json_line({"id": row["id"], "where": where, **names, **finding.model_dump()}))
        (self.aside if finding.rule in ASIDE else self.reasons)[finding.rule] += 1
        self.examples.setdefault(finding.rule, finding.reason)

    def _publish_row(self, row: dict[str, Any], leftovers: dict[str, int]) -> None:
        line, split = json_line(row), row["split"]
        self._write(MANIFEST, line)
        self._write(f"{split}.jsonl", line)
        self.splits[split] += 1
        self.seconds[split] += row["duration"]
        self.speakers[row["speaker"]] += 1
        self.speech[row["speaker"]] += row["duration"]
        self.licenses[row.get("license", "")] += 1
        self.leftovers.update(leftovers)
        self.spaces.add(row["text"])

    def publish(self, *names: str) -> None:
        """Replaces the named files, all where none is named, by what was written."""
        with writing(self._out):
            for name in names or _FILES:
                self._handles[name].close()
                self._temporary(name).replace(self._out / name)
            if not names:
                counts = {name: (often, self.speech[name]) for name, often in self.speakers.items()}
                replace_text(self._out / SPEAKERS, speakers_table(counts, self._known()))

    def _known(self) -> SpeakerFacts:
        """What is known of the speakers, with what was said of all of them."""
        said = {"license": self._settings.license, "consent": self._settings.consent_note}
        stated = {name: value for name, value in said.items() if value}
        return SpeakerFacts(("license", "consent"), dict.fromkeys(self.speakers, stated)).joined(self._facts)

    @property
    def without_consent(self) -> int:
        """Speakers of whom nobody says that they agreed."""
        known = self._known()
        return sum(not known.of(speaker).get("consent") for speaker in self.speakers)

    def _write(self, name: str, line: str) -> None:
        with writing(self._out / name):
            self._handles[name].write(line)

    def _temporary(self, name: str) -> Path:
        return self._out / (name + ".tmp")


def _without_audio(task: ClipTask) -> dict[str, Any]:
    """The task as JSON can hold it; one that carries its audio is never remade."""
    fields = asdict(task)
    assert not fields.pop("data"), "such a task is done anew by the executor"
    return fields
