"""What is spoken in an evaluation: the utterances of a manifest, with their recordings, and the fixed public list."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError
from amtts_core.units import Seconds

IN_DOMAIN = "in-domain"
"""Category of a manifest's utterances: the kind of text that the voice was trained on."""
LISTS = ("am",)
"""Languages that have a fixed public list."""


@dataclass(frozen=True, kw_only=True)
class TestItem:
    """One text to speak.

    Attributes:
        id: unique among the items; also the name of its audio files.
        text: as a person writes it.
        reference: normalized text that the speech is compared with; may hold gemination marks.
        category: "in-domain", or a category of the public list.
        speaker: who says it in the recording; empty where one voice has no name.
        audio, offset, duration: the recording, where there is one.
    """

    __test__ = False  # pytest takes the name for one of its own

    id: str
    text: str
    reference: str
    category: str = IN_DOMAIN
    speaker: str = ""
    audio: Path | None = None
    offset: Seconds = 0.0
    duration: Seconds = 0.0


def manifest_items(manifest: Path, *, normalize: Callable[[str], str], limit: int = 0) -> list[TestItem]:
    """The utterances of a manifest.

    Args:
        manifest: a `.jsonl` file.
        normalize: for rows without normalized text.
        limit: take so many, spread evenly over the manifest; 0 takes all.

    Raises:
        AmttsError: missing, empty, a bad line, or no letter in any text.
    """
    rows = list(read_manifest(manifest))
    if not rows:
        raise AmttsError(
            f"manifest {manifest} holds no utterance", remedy="Give the test.jsonl of a prepared corpus"
        )
    if 0 < limit < len(rows):
        rows = [rows[number * len(rows) // limit] for number in range(limit)]
    found, names = [], set[str]()
    for row in rows:
        reference = row.normalized_text or normalize(row.text)
        if not any(character.isalpha() for character in reference):
            continue
        name = _file_name(row.id)
        if name in names:
            raise AmttsError(f"manifest {manifest}: two utterances have the id '{row.id}'")
        names.add(name)
        found.append(
            TestItem(
                id=name,
                text=row.text,
                reference=reference,
                speaker=row.speaker,
                audio=row.audio_path(manifest),
                offset=row.offset,
                duration=row.duration,
            )
        )
    if not found:
        raise AmttsError(f"manifest {manifest}: no text holds a letter")
    return found


def _file_name(name: str) -> str:
    """An id as a file name; a name with other characters gets a hash in their place."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".")
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def public_items(language: str = "am", *, normalize: Callable[[str], str]) -> list[TestItem]:
    """The fixed public list: news, numbers, names, dialogue, questions, long sentences and single words.

    Raises:
        AmttsError: there is none for the language.
    """
    if language not in LISTS:
        raise AmttsError(
            f"there is no public test list for language '{language}'; there is one for: {', '.join(LISTS)}",
            remedy="Give your own texts with --manifest and leave the list out with --no-public-list",
        )
    return [
        TestItem(id=name, text=text, reference=normalize(text), category=category)
        for name, category, text in _list_rows(language)
    ]


def _list_rows(language: str) -> Iterator[tuple[str, str, str]]:
    table = (files("amtts_core.evaluation") / "texts" / f"{language}.tsv").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            name, category, text = line.split("\t")
            yield name, category, text
