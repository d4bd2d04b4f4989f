"""Joins corpora: unique ids, speakers kept apart, one sample rate, licenses listed, each row kept or in the ledger."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import soundfile
from pydantic import BaseModel, Field, ValidationError

from amtts_core.audio.decoded import AudioError
from amtts_core.audio.io import decode, resample, write_flac
from amtts_core.corpus.edits import EDITS, RULE
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.json_rows import read_rows
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.journal import Journal
from amtts_core.corpus.ledger import LEDGER, MANIFEST
from amtts_core.corpus.manifest import Utterance
from amtts_core.corpus.merge_sources import MADE_BY, STATE, Source, claim_folder, inspect_sources
from amtts_core.corpus.naming import unique_id
from amtts_core.corpus.prepare_report import SplitReport
from amtts_core.corpus.report.build import write_report
from amtts_core.corpus.speaker_facts import SPEAKERS, SpeakerFacts, speakers_table
from amtts_core.corpus.split_corpus import split_corpus
from amtts_core.corpus.workspace import writing
from amtts_core.errors import AmttsError
from amtts_core.storage.atomic import replace_text
from amtts_core.storage.json_lines import json_line
from amtts_core.text.normalizer import Normalizer
from amtts_core.text.settings import NormalizerSettings
from amtts_core.units import Hertz, Seconds

_AS_THEY_ARE = (".flac", ".wav")
_SAME_LENGTH: Seconds = 0.1  # a row may be so much shorter than its file without being a part of it


@dataclass(frozen=True, kw_only=True)
class MergeSettings:
    """Choices of `amtts merge`.

    Attributes:
        sample_rate: of the merged corpus, Hz; 0 takes that of the sources, which must agree then.
        same_speakers: equal names are the same person; otherwise they are told apart by the corpus' name.
        copy: copy audio files instead of linking them.
        renormalize: normalize every text anew with the first corpus' settings.
        val: share of the sentences for validation.
        test: share of the sentences for testing.
        max_rejected: largest share of the rows that may be rejected.
    """

    sample_rate: Hertz = 0
    same_speakers: bool = False
    copy: bool = False
    renormalize: bool = False
    val: float = 0.05
    test: float = 0.05
    max_rejected: float = 0.3


class MergeReport(BaseModel):
    """What a merge did; `total == kept + dropped`."""

    out: str
    total: int
    kept: int
    dropped: int
    reasons: dict[str, int] = Field(description="rule -> rejected rows, most frequent first")
    corpora: dict[str, int] = Field(description="corpus -> rows kept")
    licenses: dict[str, list[str]] = Field(description="corpus -> what it says of its license")
    renamed_speakers: dict[str, str] = Field(description="corpus/speaker -> name in the merged corpus")
    speakers: int
    resampled: int
    corrected: int = Field(0, description="rows whose text a person corrected")
    splits: dict[str, SplitReport]
    warnings: list[str]


def merge_corpora(folders: Sequence[Path], out: Path, settings: MergeSettings) -> MergeReport:
    """Makes one corpus of several in `out`, or a new version of one that was edited.

    What a person changed in a corpus (its `edits.jsonl`) is applied to what is written; the corpora stay as they are.

    Raises:
        AmttsError: the corpora cannot be joined as they are, `out` cannot be used, or too many rows are rejected.
    """
    if not folders or (len(folders) == 1 and not (folders[0] / EDITS).is_file()):
        raise AmttsError(
            f"`amtts merge` joins two corpora or more, or applies the {EDITS} of one",
            remedy="amtts merge A B --out DIR",
        )
    sources = inspect_sources(folders, renormalize=settings.renormalize)
    rate = _common_rate(sources, settings.sample_rate)
    head = claim_folder(out, sources, rate=rate, val=settings.val, test=settings.test)
    with Journal(out) as journal:
        merge = _Merge(sources, out, settings, rate, journal)
        with merge.writing():
            for source in sources:
                merge.take(source)
            merge.finish()
    for left in out.glob("journal.sqlite*"):
        left.unlink()
    split = split_corpus(out, val=settings.val, test=settings.test, report=False)
    report = MergeReport(
        out=str(out),
        total=merge.total,
        kept=merge.kept,
        dropped=merge.reasons.total(),
        reasons=dict(merge.reasons.most_common()),
        corpora={source.label: merge.corpora[source.label] for source in sources},
        licenses={source.label: source.licenses for source in sources},
        renamed_speakers=merge.renamed,
        speakers=len(merge.speakers),
        resampled=merge.resampled,
        corrected=merge.corrected,
        splits=split.splits,
        warnings=[*merge.warnings(), *split.warnings],
    )
    state = {
        **head,
        "state": "complete",
        "licenses": report.licenses,
        "consent_notes": list(dict.fromkeys(note for source in sources for note in source.consent_notes)),
        "total": report.total,
        "kept": report.kept,
        "warnings": report.warnings,
    }
    _write_state(out, state)
    write_report(out)
    return report


def _common_rate(sources: Sequence[Source], wanted: Hertz) -> Hertz:
    rates = {source.label: sorted(source.rates) for source in sources}
    found = {rate for own in rates.values() for rate in own}
    if wanted:
        return wanted
    if len(found) == 1:
        return next(iter(found))
    rates_found = "; ".join(
        f"{label} {', '.join(map(str, own)) or 'unknown'} Hz" for label, own in rates.items()
    )
    raise AmttsError(
        f"the corpora have different sample rates: {rates_found}",
        remedy=f"Resample them with --sample-rate {min(found, default=22050)}",
    )


def _write_state(out: Path, state: dict[str, Any]) -> None:
    with writing(out):
        replace_text(out / STATE, json.dumps(state, ensure_ascii=False, indent=2) + "\n")


class _Merge:
    """Takes source after source; keeps what depends on more than one row."""

    def __init__(
        self, sources: Sequence[Source], out: Path, settings: MergeSettings, rate: Hertz, journal: Journal
    ) -> None:
        self._sources, self._out, self._settings = sources, out, settings
        self._rate, self._journal = rate, journal
        self._names = _speaker_names(sources, same=settings.same_speakers)
        self._normalizer = Normalizer(sources[0].normalizer or NormalizerSettings())
        self._own: dict[str, Normalizer] = {}
        self.corrected = 0
        self._files: dict[str, IO[str]] = {}
        self.total = self.kept = self.resampled = 0
        self.reasons: Counter[str] = Counter()
        self.corpora: Counter[str] = Counter()
        self.speakers: Counter[str] = Counter()
        self._speech: defaultdict[str, float] = defaultdict(float)
        self.renamed = {
            f"{label}/{speaker}": name for (label, speaker), name in self._names.items() if name != speaker
        }

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Opens manifest and ledger under temporary names."""
        with contextlib.ExitStack() as stack, writing(self._out):
            for name in (MANIFEST, LEDGER):
                path = self._out / f"{name}.tmp"
                stack.callback(path.unlink, missing_ok=True)
                self._files[name] = stack.enter_context(path.open("w", encoding="utf-8"))
            yield

    def take(self, source: Source) -> None:
        """Adds every row of a corpus to the manifest or to the ledger."""
        locator = AudioLocator(source.folder)
        for number, row in read_rows(source.manifest):
            self.total += 1
            where = f"{source.label}/{source.manifest.name}:{number}"
            utterance = _utterance(row)
            if isinstance(utterance, Finding):
                self._reject(where, utterance, row)
                continue
            edit = source.edits.get(utterance.id)
            if edit is not None and not edit.keep:
                self._reject(where, Finding(rule=RULE, reason="a person rejected it"), row)
                continue
            if edit is not None and edit.text:
                spoken = self._normalizers(source)(edit.text)
                utterance = utterance.model_copy(update={"text": edit.text, "normalized_text": spoken})
                self.corrected += 1
            found = locator.find(utterance.audio_filepath)
            finding = found if isinstance(found, Finding) else self._keep(source, utterance, found)
            if finding is not None:
                self._reject(where, finding, row)

    def _normalizers(self, source: Source) -> Normalizer:
        """What normalizes the corrected texts of a corpus: as its other texts were."""
        if self._settings.renormalize or source.normalizer is None:
            return self._normalizer
        return self._own.setdefault(source.label, Normalizer(source.normalizer))

    def _keep(self, source: Source, utterance: Utterance, path: Path) -> Finding | None:
        def take(name: str) -> bool:
            return self._journal.claim("id", name.casefold(), name)

        facts = _facts(path)
        if isinstance(facts, Finding):
            return facts
        rate, length = facts
        cut = utterance.offset > 0 or utterance.duration + _SAME_LENGTH < length
        digest = _digest(path, utterance, cut=cut)
        first = self._journal.owner("audio", digest)
        if first is not None:
            return Finding(rule="duplicate-audio", reason=f"has the same audio as '{first}'", value=first)
        named = utterance.id.replace("/", "_").replace("\\", "_") + ".name"
        identity = unique_id(named, f"{source.label}/{utterance.id}", take)
        placed = self._place(utterance, path, identity, as_it_is=not cut and rate == self._rate)
        if isinstance(placed, Finding):
            return placed
        self._journal.claim("audio", digest, identity)
        speaker = self._names[source.label, utterance.speaker]
        extra = {"corpus": source.label}
        own = utterance.model_extra or {}
        only = source.licenses[0] if len(source.licenses) == 1 else ""
        if license := own.get("license") or own.get("licence") or only:
            extra["license"] = str(license)
        changed = {"id": identity, "speaker": speaker, "sample_rate": self._rate, "offset": 0.0, **placed}
        if not (utterance.text.strip() or utterance.normalized_text.strip()):
            return Finding(rule="empty-text", reason="there is no text")
        if not utterance.text.strip():  # only what is said was ever written
            changed["text"] = utterance.normalized_text
        if self._settings.renormalize or not utterance.normalized_text:
            changed["normalized_text"] = self._normalizer(changed.get("text", utterance.text))
        row = utterance.model_dump(exclude_none=True) | extra | changed
        row.pop("split", None)
        row.pop("licence", None)  # its name in older corpora
        self._files[MANIFEST].write(json_line(row))
        self.kept += 1
        self.corpora[source.label] += 1
        self.speakers[speaker] += 1
        self._speech[speaker] += float(row["duration"])
        return None

    def _place(
        self, utterance: Utterance, path: Path, identity: str, *, as_it_is: bool
    ) -> dict[str, Any] | Finding:
        """Puts the audio into the corpus; what changes in the row, or why it cannot be read."""
        if as_it_is and path.suffix.lower() in _AS_THEY_ARE:
            name = f"audio/{identity}{path.suffix.lower()}"
            self._link(path, self._out / name)
            return {"audio_filepath": name}
        try:
            decoded = decode(path, start=utterance.offset, duration=utterance.duration)
        except AudioError as error:
            return Finding(rule="unreadable", reason=error.message)
        samples = resample(decoded.samples, decoded.sample_rate, self._rate)
        self.resampled += decoded.sample_rate != self._rate
        name = f"audio/{identity}.flac"
        write_flac(self._out / name, samples, self._rate)
        return {"audio_filepath": name, "duration": round(len(samples) / self._rate, 6)}

    def _link(self, path: Path, target: Path) -> None:
        with writing(target):
            target.unlink(missing_ok=True)
            if not self._settings.copy:
                with contextlib.suppress(OSError):  # another disk, or a file system without links
                    os.link(path, target)
                    return
            shutil.copyfile(path, target)

    def _reject(self, where: str, finding: Finding, row: dict[str, Any] | str) -> None:
        fields = row if isinstance(row, dict) else {}
        entry = {
            "id": str(fields.get("id", "")),
            "where": where,
            "source": str(fields.get("audio_filepath", "")),
            "speaker": str(fields.get("speaker", "")),
            "text": str(fields.get("text", "")),
        }
        self._files[LEDGER].write(json_line({**entry, **finding.model_dump()}))
        self.reasons[finding.rule] += 1

    def finish(self) -> None:
        """Publishes manifest and ledger and clears away audio of an earlier merge, or fails with the reasons."""
        for name, handle in self._files.items():
            handle.close()
            dropped = self.reasons.total() - self.reasons[RULE]  # a person knew what they did
            bad = not self.kept or dropped > self._settings.max_rejected * self.total
            if name == LEDGER or not bad:
                (self._out / f"{name}.tmp").replace(self._out / name)
        if bad:
            ranked = ", ".join(f"{count} {rule}" for rule, count in self.reasons.most_common())
            raise AmttsError(
                f"{dropped} of {self.total} utterances rejected, more than --max-rejected "
                f"{self._settings.max_rejected:g} allows: {ranked or 'the corpora are empty'}",
                remedy=f"See {self._out / LEDGER} for each",
            )
        replace_text(self._out / SPEAKERS, self._speakers_table())
        for path in (self._out / "audio").iterdir():
            if self._journal.owner("id", path.stem.casefold()) is None:
                path.unlink()

    def _speakers_table(self) -> str:
        """What the corpora know of their speakers, under the names that these have now."""
        facts = SpeakerFacts()
        for source in self._sources:
            names = {own: name for (label, own), name in self._names.items() if label == source.label}
            facts = facts.joined(source.facts.renamed(names))
        counts = {speaker: (often, self._speech[speaker]) for speaker, often in self.speakers.items()}
        return speakers_table(counts, facts)

    def warnings(self) -> list[str]:
        """What a person should know of the result."""
        unknown = [source.label for source in self._sources if not source.licenses]
        out = [f"no license is stated by: {', '.join(unknown)}"] if unknown else []
        languages = sorted({language for source in self._sources for language in source.languages})
        if len(languages) > 1:
            out.append(f"the corpora have several languages: {', '.join(languages)}")
        return out


def _utterance(row: dict[str, Any] | str) -> Utterance | Finding:
    if isinstance(row, str):
        return Finding(rule="malformed-line", reason=f"the line {row}")
    named = row.get("audio_filepath")
    fields = {"id": Path(named).stem, **row} if isinstance(named, str) else row
    try:
        return Utterance.model_validate(fields)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return Finding(rule="malformed-line", reason=f"the row is no utterance: {faults}")


def _speaker_names(sources: Sequence[Source], *, same: bool) -> dict[tuple[str, str], str]:
    """(corpus, speaker) -> name: as it is where no other corpus has it, otherwise with the corpus' name."""
    owners = Counter(speaker for source in sources for speaker in source.speakers)
    out: dict[tuple[str, str], str] = {}
    taken = set(owners)
    for source in sources:
        for speaker in sorted(source.speakers):
            name = speaker
            if not same and (not speaker or owners[speaker] > 1):
                name = f"{source.label}-{speaker}" if speaker else source.label
                while name in taken:
                    name += "_"
            taken.add(name)
            out[source.label, speaker] = name
    return out


def _digest(path: Path, utterance: Utterance, *, cut: bool) -> str:
    with path.open("rb") as handle:
        content = hashlib.file_digest(handle, "sha256").hexdigest()
    return f"{content}@{utterance.offset}+{utterance.duration}" if cut else content


def _facts(path: Path) -> tuple[Hertz, Seconds] | Finding:
    """Sample rate and length of an audio file, or why it cannot be read."""
    try:
        about = soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        said = str(getattr(error, "error_string", error)).strip().rstrip(".")
        return Finding(rule="unreadable", reason=f"cannot be decoded: {said}")
    return int(about.samplerate), float(about.frames / about.samplerate)


__all__ = ["MADE_BY", "MergeReport", "MergeSettings", "merge_corpora"]
