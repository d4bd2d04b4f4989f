"""The manifest: one JSON object a line, with NeMo's field names, read and written as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amtts_core.errors import AmttsError, ManifestError
from amtts_core.units import Hertz, Seconds


class Utterance(BaseModel):
    """One line of a manifest. Unknown fields of other tools are kept."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(min_length=1)
    audio_filepath: str = Field(min_length=1)
    """Path of the audio file; a relative one is relative to the manifest's folder."""
    duration: Seconds = Field(gt=0, allow_inf_nan=False)
    text: str
    normalized_text: str = ""
    speaker: str = ""
    lang: str = "am"
    sample_rate: Hertz | None = Field(default=None, gt=0)
    offset: Seconds = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Where the utterance starts in its audio file."""

    def audio_path(self, manifest: Path) -> Path:
        """The audio file, given the manifest that this utterance was read from."""
        path = Path(self.audio_filepath)
        return path if path.is_absolute() else manifest.parent / path

    def spoken_text(self) -> str:
        """The normalized text, or the text as written where none is stored."""
        return self.normalized_text or self.text


def parse_line(line: str, *, source: str, number: int) -> Utterance:
    """One manifest line.

    Raises:
        ManifestError: not JSON, or a field is missing or of another type; names source and line number.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{source}, line {number}: not JSON ({error.msg}): {line[:60]!r}") from None
    if not isinstance(row, dict):
        raise ManifestError(f"{source}, line {number}: expected a JSON object, found {type(row).__name__}")
    if "id" not in row and isinstance(row.get("audio_filepath"), str):
        row["id"] = Path(row["audio_filepath"]).stem  # NeMo's manifests have no id
    try:
        return Utterance.model_validate(row)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ManifestError(f"{source}, line {number}: {faults}") from None


def read_manifest(path: Path, *, bad_lines: list[ManifestError] | None = None) -> Iterator[Utterance]:
    """Streams the utterances of a manifest.

    Args:
        path: a `.jsonl` file.
        bad_lines: collects the faults of bad lines; without it the first one is raised.

    Raises:
        ManifestError: the file is missing or a folder, or a line is bad and `bad_lines` is None.
    """
    try:
        handle = path.open("rb")
    except IsADirectoryError:
        raise ManifestError(f"{path} is a folder; expected a manifest file (.jsonl)") from None
    except OSError as error:
        raise ManifestError(
            f"manifest {path}: {error.strerror}", remedy="Make one with: amtts prepare SOURCE --out DIR"
        ) from None
    with handle:
        for number, raw in enumerate(handle, 1):
            try:
                line = _decoded(raw, source=str(path), number=number)
                if line.strip():
                    yield parse_line(line, source=str(path), number=number)
            except ManifestError as fault:
                if bad_lines is None:
                    raise
                bad_lines.append(fault)


def empty_manifest(manifest: Path) -> AmttsError:
    """The error for a manifest without utterances: its remedy depends on whether the other splits hold all of them."""
    others = {}
    for name in ("val", "test"):
        path = manifest.with_name(f"{name}.jsonl")
        if manifest.stem == "train" and path.is_file():
            with path.open("rb") as lines:
                others[name] = sum(1 for _ in lines)
    if any(others.values()):
        counts = " and ".join(f"{name} {count}" for name, count in others.items() if count)
        return AmttsError(
            f"manifest {manifest} holds no utterance: all of them went to {counts}",
            remedy="Prepare again with --val 0 --test 0, or with more recordings",
        )
    return AmttsError(
        f"manifest {manifest} holds no utterance", remedy="See why in the ledger beside it: rejected.jsonl"
    )


def _decoded(raw: bytes, *, source: str, number: int) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{source}, line {number}: not UTF-8 text ({error.reason})") from None
