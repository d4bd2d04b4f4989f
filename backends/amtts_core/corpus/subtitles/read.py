"""A file of captions or annotations to a track, whatever program wrote it: its content says which."""

from __future__ import annotations

import codecs
import importlib.util
import json
import logging
from pathlib import Path

from amtts_core.corpus.subtitles import whisper
from amtts_core.corpus.subtitles.clean import clean_track
from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.corpus.subtitles.labels import read_labels
from amtts_core.corpus.subtitles.languages import keep_language
from amtts_core.corpus.subtitles.parse import parse_subtitles
from amtts_core.corpus.subtitles.untangle import untangle
from amtts_core.errors import AmttsError
from amtts_core.text.decoding import decode_text

CAPTIONS = (".srt", ".vtt", ".sbv", ".ass", ".ssa", ".ttml", ".dfxp", ".smi", ".sami", ".sub")
"""Suffixes of files that hold captions and nothing else."""
ANNOTATIONS = (".textgrid", ".eaf")
"""Suffixes of files that annotation programs write."""
MAYBE = (".json", ".tsv", ".txt", ".lab")
"""Suffixes of files that hold captions or something else."""
_FOREIGN = {
    ".ass": "ass",
    ".ssa": "ssa",
    ".ttml": "ttml",
    ".dfxp": "ttml",
    ".smi": "sami",
    ".sami": "sami",
    ".sub": "microdvd",
}
_log = logging.getLogger(__name__)
_LARGEST = 64 << 20  # bytes
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DAMAGE = "\ufffd"
_FEW_DAMAGED = 0.05  # of a file's bytes, or characters


def read_track(path: Path, name: str, *, language: str = "am") -> tuple[Track, list[str]]:
    """The captions of a file, each word once and no two at a time, and notes on them.

    Args:
        path: of the file.
        name: of the file, for people.
        language: code of the language that is wanted.

    Raises:
        AmttsError: it cannot be read, or holds no caption with a time.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise AmttsError(f"{name} has more than {_LARGEST >> 20} MiB")
        parsed, notes = _parsed(path, name, language)
    except OSError as error:
        raise AmttsError(f"{name} cannot be opened: {error.strerror}") from None
    for cue in [cue for cue in parsed.cues if _DAMAGE in cue.text]:
        parsed.cues.remove(cue)
        parsed.drop(cue, "malformed-caption", "it is not UTF-8 text")
    if not parsed.cues and not parsed.dropped:
        raise AmttsError(f"{name} holds no caption with a time")
    notes.append(keep_language(parsed, language))
    return untangle(clean_track(parsed)), [line for line in notes if line]


def _parsed(path: Path, name: str, language: str) -> tuple[Track, list[str]]:
    suffix = path.suffix.lower()
    if suffix in ANNOTATIONS:
        from amtts_core.corpus.subtitles.annotations import read_annotations

        track, summary = read_annotations(path, language=language)
        _log.info("%s: %s", name, summary)
        return track, []
    text = _decoded(path.read_bytes(), name)
    if suffix in _FOREIGN:
        return _foreign(text, path, name), []
    if suffix == ".json":
        return whisper.read_json(_json(text, name)), []
    if whisper.is_tsv(text):
        return whisper.read_tsv(text), []
    if suffix in MAYBE:
        return read_labels(text, language=language) or Track([]), []
    return parse_subtitles(text), []


def is_timed(path: Path) -> bool:
    """True for a file of captions or annotations with times; looks at the content where the name is no proof."""
    suffix = path.suffix.lower()
    if suffix in CAPTIONS or suffix in ANNOTATIONS:
        return True
    if suffix not in MAYBE:
        return False
    try:
        if path.stat().st_size > _LARGEST:
            return False
        text = _decoded(path.read_bytes(), path.name)
        if suffix == ".json":
            return whisper.is_json(_json(text, path.name))
        return whisper.is_tsv(text) or read_labels(text) is not None
    except (AmttsError, OSError):
        return False


def _json(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise AmttsError(f"{name} is no valid JSON") from None


def _foreign(text: str, path: Path, name: str) -> Track:
    """Captions in the formats that pysubs2 reads."""
    if importlib.util.find_spec("pysubs2") is None:
        raise AmttsError(
            f"{name} needs a reader that is not installed",
            remedy="Install it with: pip install 'amtts[import]'",
        )
    import pysubs2

    try:
        file = pysubs2.SSAFile.from_string(text, format_=_FOREIGN[path.suffix.lower()])
    except pysubs2.UnknownFPSError:
        raise AmttsError(
            f"{name} counts frames and names no frame rate",
            remedy="Convert it to .srt with the rate of its video",
        ) from None
    except (pysubs2.Pysubs2Error, ValueError, KeyError, IndexError, TypeError, AttributeError, SyntaxError):
        raise AmttsError(
            f"{name} cannot be read as {path.suffix.lstrip('.').upper()}: it is damaged"
        ) from None
    track = Track([])
    for number, event in enumerate(file, 1):
        if event.is_comment or event.is_drawing:
            continue
        said = event.plaintext.strip()
        cue = Cue(number, event.start / 1000, event.end / 1000, said, speaker=event.name.strip())
        if cue.end <= cue.start:
            track.drop(
                cue, "malformed-caption", f"it ends at {cue.end:.3f} s but starts at {cue.start:.3f} s"
            )
        else:
            track.cues.append(cue)
    return track


def _decoded(data: bytes, name: str) -> str:
    """The text; a few bytes that are no UTF-8 become marks that reject their captions and not the whole file.

    Raises:
        AmttsError: more is wrong than a few bytes.
    """
    few = data[:2] not in _UTF16 and data.count(b"\0") < _FEW_DAMAGED * len(data)
    marked = data.replace(b"\0", b"\xff") if few else data
    try:
        return decode_text(marked, source=name)
    except AmttsError:
        text = marked.decode("utf-8-sig", "replace")
        if not 0 < text.count(_DAMAGE) < _FEW_DAMAGED * len(text):
            raise
        return text
