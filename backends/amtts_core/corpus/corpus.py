"""What a prepared corpus folder says about itself: its normalizer, its speakers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError, ManifestError
from amtts_core.text.normalizer import Normalizer, NormalizerSettings


@dataclass(frozen=True)
class DataProvenance:
    """What a corpus states of its recordings.

    Attributes:
        licenses: of the recordings; "not stated" for those without one.
        consent_notes: how the speakers agreed to the use of their voices.
    """

    licenses: tuple[str, ...] = ()
    consent_notes: tuple[str, ...] = ()


def corpus_provenance(data: Path) -> DataProvenance:
    """What `amtts prepare` or `amtts merge` stored of licenses and consent; nothing where another program made it."""
    try:
        state: dict[str, Any] = json.loads((data / "prepare.json").read_text(encoding="utf-8"))
        licenses: dict[str, Any] = state.get("licenses") or {}
        settings: dict[str, Any] = state.get("settings") or {}
    except (OSError, ValueError, AttributeError):
        return DataProvenance()
    stated: list[str] = []
    for name, value in licenses.items():
        stated += (value or [""]) if isinstance(value, list) else [name]  # of a merge: corpus -> licenses
    notes = [settings.get("consent_note"), *(state.get("consent_notes") or [])]
    return DataProvenance(
        tuple(dict.fromkeys(str(license) or "not stated" for license in stated)),
        tuple(dict.fromkeys(str(note) for note in notes if note)),
    )


def corpus_normalizer(data: Path) -> Normalizer:
    """The normalizer whose settings `amtts prepare` stored with the corpus."""
    path = data / "prepare.json"
    if not path.is_file():
        return Normalizer(NormalizerSettings())
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Normalizer(NormalizerSettings.model_validate(stored["settings"]["normalizer"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AmttsError(
            f"{path} does not say how the corpus was normalized ({type(error).__name__}: {error})",
            remedy="Run `amtts prepare` again",
        ) from None


def corpus_speakers(manifest: Path, *, bad_lines: list[ManifestError] | None = None) -> list[str]:
    """Speaker names of a manifest, sorted; bad lines as in `read_manifest`."""
    utterances = read_manifest(manifest, bad_lines=bad_lines)
    return sorted({utterance.speaker for utterance in utterances if utterance.speaker})
