"""`training_data.jsonl` of a run: fingerprints of its training utterances, with which a resumed run says what changed.

Audio that was copied or moved is the same audio: where size or time differ, three stretches of the file are compared.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amtts_core.corpus.manifest import Utterance
from amtts_core.storage.json_lines import json_line, read_json_lines

logger = logging.getLogger(__name__)
NAME = "training_data.jsonl"
STRETCH = 4096
"""Bytes of a file that are compared at its begin, middle and end."""
SHOWN = 3


@dataclass(frozen=True)
class AudioStamp:
    """Identifies an audio file without reading all of it.

    Attributes:
        size: bytes; -1 where the file is missing.
        time: of its last change, in nanoseconds.
        content: hash of three stretches.
    """

    size: int
    time: int
    content: str

    @classmethod
    def of(cls, path: Path, known: AudioStamp | None = None) -> AudioStamp:
        """The stamp of a file.

        Args:
            path: of the file.
            known: an earlier stamp; the content is not read again where size and time are its own.
        """
        try:
            stat = path.stat()
            if known is not None and (known.size, known.time) == (stat.st_size, stat.st_mtime_ns):
                return known
            return cls(stat.st_size, stat.st_mtime_ns, _content(path, stat.st_size))
        except OSError:  # stored codes may stand for audio that is not here
            return cls(-1, 0, "")


def _content(path: Path, size: int) -> str:
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as handle:
        for place in (0, max(0, size // 2), max(0, size - STRETCH)):
            handle.seek(place)
            digest.update(handle.read(STRETCH))
    return digest.hexdigest()


@dataclass(frozen=True)
class IndexedUtterance:
    """The fingerprint of one utterance: hash of its text and duration, and the stamp of its audio."""

    text: str
    audio: AudioStamp


DataIndex = dict[str, IndexedUtterance]
"""Id of an utterance -> its fingerprint."""


def index_of(
    utterances: Sequence[Utterance], manifest: Path, known: Mapping[str, IndexedUtterance]
) -> DataIndex:
    """Fingerprints of utterances.

    Args:
        utterances: of the training set.
        manifest: that audio paths are relative to.
        known: earlier fingerprints, which spare reading files that have not changed.
    """
    found: DataIndex = {}
    for utterance in utterances:
        before = known.get(utterance.id)
        said = f"{utterance.duration}|{utterance.speaker}|{utterance.spoken_text()}"
        text = hashlib.blake2b(said.encode(errors="backslashreplace"), digest_size=8).hexdigest()
        path = utterance.audio_path(manifest)
        found[utterance.id] = IndexedUtterance(text, AudioStamp.of(path, before.audio if before else None))
    return found


def read_index(run: Path) -> DataIndex:
    """The stored index of a run; empty where there is none that can be read."""
    try:
        return {
            row["id"]: IndexedUtterance(row["text"], AudioStamp(**row["audio"]))
            for row in read_json_lines(run / NAME)
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def index_lines(index: DataIndex) -> str:
    """The content of the file."""
    rows: list[dict[str, Any]] = [
        {"id": name, "text": one.text, "audio": vars(one.audio)} for name, one in index.items()
    ]
    return "".join(map(json_line, rows))


@dataclass(frozen=True)
class DataChanges:
    """Ids of utterances that differ between two indexes."""

    texts: list[str]
    audio: list[str]
    added: list[str]
    removed: list[str]
    total: int
    """Utterances before."""

    @classmethod
    def between(cls, before: DataIndex, now: DataIndex) -> DataChanges:
        """What has changed."""
        both = [name for name in before if name in now]
        return cls(
            texts=[name for name in both if before[name].text != now[name].text],
            audio=[name for name in both if before[name].audio.content != now[name].audio.content],
            added=[name for name in now if name not in before],
            removed=[name for name in before if name not in now],
            total=len(before),
        )

    def __str__(self) -> str:
        """Counts, and the first few ids of each kind."""
        kinds = {
            f"of {self.total} texts or durations changed": self.texts,
            f"of {self.total} audio files changed": self.audio,
            "utterances added": self.added,
            "utterances removed": self.removed,
        }
        return "; ".join(
            f"{len(ids)} {what} ({', '.join(ids[:SHOWN])}{' ...' if len(ids) > SHOWN else ''})"
            for what, ids in kinds.items()
            if ids
        )
