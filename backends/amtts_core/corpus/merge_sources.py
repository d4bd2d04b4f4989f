"""What `amtts merge` needs to know of each corpus before it starts, and the folder it writes to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile
from pydantic import ValidationError

from amtts_core.corpus.edits import Edit, read_edits
from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.json_rows import read_rows, text_of
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.corpus.ledger import MANIFEST
from amtts_core.corpus.naming import safe_stem
from amtts_core.corpus.settings import differences
from amtts_core.corpus.speaker_facts import SpeakerFacts, find_speakers
from amtts_core.corpus.workspace import writing
from amtts_core.errors import AmttsError
from amtts_core.text.settings import NormalizerSettings
from amtts_core.units import Hertz

STATE = "prepare.json"
MADE_BY = "amtts merge"
_LICENCES = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md")


@dataclass
class Source:
    """A corpus to be merged.

    Attributes:
        folder: with its manifest.
        label: its name among the others.
        settings: of `prepare`; empty where the corpus has none.
        normalizer: how its texts were normalized; None where that is not known.
        rates: sample rates of its rows, Hz.
        speakers: names of its rows, the empty one too.
        languages: of its rows.
        licenses: what folder and rows say.
        consent_notes: how its speakers agreed.
        facts: of its speakers.
        edits: what a person changed, by utterance.
    """

    folder: Path
    label: str
    settings: dict[str, Any] = field(default_factory=dict)
    normalizer: NormalizerSettings | None = None
    rates: set[Hertz] = field(default_factory=set)
    speakers: set[str] = field(default_factory=set)
    languages: set[str] = field(default_factory=set)
    licenses: list[str] = field(default_factory=list)
    consent_notes: list[str] = field(default_factory=list)
    facts: SpeakerFacts = field(default_factory=SpeakerFacts)
    edits: dict[str, Edit] = field(default_factory=dict)

    @property
    def manifest(self) -> Path:
        """All its rows."""
        return self.folder / MANIFEST


def inspect_sources(folders: Sequence[Path], *, renormalize: bool) -> list[Source]:
    """Reads each corpus once.

    Raises:
        AmttsError: a folder is no corpus or stands twice, or the texts were normalized in different ways.
    """
    sources: list[Source] = []
    for folder in folders:
        if not (folder / MANIFEST).is_file():
            raise AmttsError(
                f"{folder} holds no {MANIFEST}", remedy=f"Prepare it first: amtts prepare {folder} --out DIR"
            )
        if any(os.path.samefile(folder, other.folder) for other in sources):
            raise AmttsError(f"{folder} stands twice among the corpora")
        label = safe_stem(f"{Path(os.path.realpath(folder)).name}.name")
        taken = {source.label for source in sources}
        number = 2
        while label in taken:
            label, number = f"{safe_stem(folder.resolve().name + '.name')}-{number}", number + 1
        sources.append(_inspect(folder, label))
    if not renormalize:
        _refuse_other_normalizers(sources)
    return sources


def _inspect(folder: Path, label: str) -> Source:
    source = Source(folder, label)
    found: set[str] = set()
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        source.settings = dict(state["settings"])
        source.normalizer = NormalizerSettings.model_validate(source.settings["normalizer"])
        for name in ("licenses", "licenses"):
            for stated in (state.get(name) or {}).values():
                found.update(stated if isinstance(stated, list) else [])
        found |= {source.settings["license"]} if source.settings.get("license") else set()
        notes = [source.settings.get("consent_note"), *(state.get("consent_notes") or [])]
        source.consent_notes = list(dict.fromkeys(str(note) for note in notes if note))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        source.settings = {}  # made by other means than prepare
    for _, row in read_rows(source.manifest):
        if isinstance(row, str):
            continue  # reported when it is merged
        rate = row.get("sample_rate")
        if isinstance(rate, int) and rate > 0:
            source.rates.add(rate)
        elif not source.rates:
            source.rates |= _rate_of_file(folder, text_of(row, "audio_filepath"))
        speaker = row.get("speaker", "")
        source.speakers.add(speaker if isinstance(speaker, str) else "")
        source.languages.add(text_of(row, "lang") or "am")
        if licence := text_of(row, "licence", "license"):
            found.add(licence)
    for name in _LICENCES:
        if (folder / name).is_file():
            with (folder / name).open(encoding="utf-8", errors="replace") as handle:
                found.add(next((line.strip()[:100] for line in handle if line.strip()), name))
    source.licenses = sorted(found)
    source.facts = find_speakers([folder])
    source.edits = read_edits(folder)
    return source


def _rate_of_file(folder: Path, named: str) -> set[Hertz]:
    found = AudioLocator(folder).find(named)
    if isinstance(found, Finding):
        return set()
    try:
        return {int(soundfile.info(found).samplerate)}
    except (soundfile.SoundFileError, OSError):
        return set()


def _refuse_other_normalizers(sources: Sequence[Source]) -> None:
    known = [source for source in sources if source.normalizer is not None]
    for source in known[1:]:
        first = known[0]
        assert first.normalizer is not None
        assert source.normalizer is not None
        changed = list(differences(first.normalizer.model_dump(), source.normalizer.model_dump()))
        if changed:
            listed = "; ".join(
                f"{name} is {was!r} in {first.label} and {now!r} in {source.label}"
                for name, was, now in changed
            )
            raise AmttsError(
                f"the texts were normalized in different ways: {listed}",
                remedy=f"Normalise all of them as {first.label} was with --renormalize",
            )


def claim_folder(
    out: Path, sources: Sequence[Source], *, rate: Hertz, val: float, test: float
) -> dict[str, Any]:
    """Makes the folder this merge's and returns what its `prepare.json` says.

    Raises:
        AmttsError: it is a source or lies among one, or holds something else.
    """
    real = Path(os.path.realpath(out))
    for source in sources:
        folder = Path(os.path.realpath(source.folder))
        if real == folder or folder in real.parents or real in folder.parents:
            raise AmttsError(
                f"--out {out} is {source.folder}, lies in it or holds it", remedy="Choose a folder of its own"
            )
    names = [os.path.relpath(os.path.realpath(source.folder), real) for source in sources]
    first = next((source for source in sources if source.settings), None)
    settings = dict(first.settings) if first else {"normalizer": NormalizerSettings().model_dump(mode="json")}
    settings |= {"sample_rate": rate, "val": val, "test": test}
    head = {"made_by": MADE_BY, "sources": names, "settings": settings}
    if out.exists() and not out.is_dir():
        raise AmttsError(f"--out {out} is a file, expected a folder", remedy="Choose another --out")
    if out.is_dir() and any(out.iterdir()):
        try:
            old = json.loads((out / STATE).read_text(encoding="utf-8"))
            ours = old["made_by"] == MADE_BY and old["sources"] == names
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise AmttsError(
                f"--out {out} is not empty and holds no earlier merge of the same corpora",
                remedy="Choose another --out",
            )
    if (out / "audio").is_symlink():
        raise AmttsError(f"{out / 'audio'} is a symbolic link; nothing is written outside of {out}")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**head, "state": "running"}, ensure_ascii=False, indent=2)
        (out / STATE).write_text(text + "\n", encoding="utf-8")
        (out / "audio").mkdir(exist_ok=True)
    return head
