"""What a prepared corpus folder says about itself: its normaliser, its speakers."""

from __future__ import annotations

import json
from pathlib import Path

from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError, ManifestError
from amtts_core.text.normalizer import Normalizer, NormalizerSettings


def corpus_normalizer(data: Path) -> Normalizer:
    """The normaliser whose settings `amtts prepare` stored with the corpus."""
    path = data / "prepare.json"
    if not path.is_file():
        return Normalizer(NormalizerSettings())
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Normalizer(NormalizerSettings.model_validate(stored["settings"]["normalizer"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AmttsError(
            f"{path} does not tell how the corpus was normalised ({type(error).__name__}: {error})",
            remedy="Run `amtts prepare` again",
        ) from None


def corpus_speakers(manifest: Path, *, bad_lines: list[ManifestError] | None = None) -> list[str]:
    """Speaker names of a manifest, sorted; bad lines as in `read_manifest`."""
    utterances = read_manifest(manifest, bad_lines=bad_lines)
    return sorted({utterance.speaker for utterance in utterances if utterance.speaker})
