"""Which text belongs to which recording where each has a file of its own: beside it, or in a tree of its own."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amtts_core.corpus.importers.column_names import SPOKEN_NAMES, TEXT_NAMES
from amtts_core.corpus.importers.json_rows import text_of
from amtts_core.corpus.importers.walk import AUDIO_SUFFIXES, SOUND_SUFFIXES, suffix_of, walk
from amtts_core.corpus.subtitles import whisper

TEXT_SUFFIXES = (".txt", ".lab", ".json")
_LARGEST_JSON = 1 << 18  # bytes
_LISTING = ".trans.txt"  # LibriSpeech: one line a recording of the folder
_VERSIONS = (".normalized", ".original", ".orig", ".norm")  # LibriTTS: x.normalized.txt and x.original.txt
_MICROPHONE = re.compile(r"_mic(\d)$")  # VCTK: one reading by two microphones
_PLAIN = frozenset(
    (
        "wav",
        "wavs",
        "wav48",
        "wav16",
        "wav48_silence_trimmed",
        "audio",
        "audios",
        "clips",
        "flac",
        "mp3",
        "recordings",
    )
    + ("sound", "sounds", "txt", "text", "texts", "lab", "labs", "labels", "transcripts", "transcription")
    + ("transcriptions", "data", "corpus", "train", "dev", "val", "valid", "test", "original", "normalized")
)
_SPLIT = re.compile(r"(?:train|dev|test|valid)[-_](?:clean|other)(?:[-_]\d+)?")
_NO_TEXT = re.compile(
    r"(?:readme|licen[cs]e|copying|speakers?|chapters|books|notes?|changelog|version|authors)\b.*", re.I
)


@dataclass
class TextPair:
    """A recording and its text, as paths relative to the corpus folder.

    Attributes:
        sound: empty where a text has no recording.
        text: the text as it is written; empty where there is none.
        spoken: the source's own normalized text, in a file of its own.
        line: of a listing that stands for a whole folder.
        twins: the same recording in other formats or by other microphones.
        speaker: name of the folder that is a person's.
    """

    sound: str = ""
    text: str = ""
    spoken: str = ""
    line: str = ""
    twins: list[str] = field(default_factory=list)
    speaker: str = ""


@dataclass
class _Files:
    """What a corpus folder holds: (folder, stem) -> names."""

    sounds: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[tuple[str, str], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    lines: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


def has_pairs(source: Path) -> bool:
    """True where a recording has a text of its own; stops at the first one."""
    sounds: dict[str, set[str]] = defaultdict(set)  # stem -> folders
    texts: dict[str, set[str]] = defaultdict(set)
    for folder, names in walk(source):
        for name in names:
            if suffix_of(name) in SOUND_SUFFIXES:
                sounds[_plain_stem(name)].add(folder)
            elif (stem := _text_stem(name)) is not None and _is_text(source / folder / name):
                texts[stem].add(folder)
            elif name.endswith(_LISTING):
                return any(suffix_of(other) in SOUND_SUFFIXES for other in names)
        if any(folder in texts[_plain_stem(n)] for n in names if suffix_of(n) in SOUND_SUFFIXES):
            return True
    shared = [stem for stem in sounds if stem in texts]
    trees = _trees({f for own in sounds.values() for f in own}, {f for own in texts.values() for f in own})
    return any(_across(folder, texts[stem], trees) is not None for stem in shared for folder in sounds[stem])


def find_text_pairs(source: Path) -> list[TextPair]:
    """Every recording and every text of a folder once, in the order of the recordings."""
    files = _collect(source)
    trees = _trees({folder for folder, _ in files.sounds}, {folder for folder, _ in files.texts})
    by_stem: dict[str, set[str]] = defaultdict(set)
    for folder, stem in files.texts:
        by_stem[stem].add(folder)
    used: set[tuple[str, str]] = set()
    pairs = []
    for (folder, stem), names in sorted(files.sounds.items()):
        place = folder if (folder, stem) in files.texts else _across(folder, by_stem.get(stem, ()), trees)
        first, *twins = sorted(names, key=_preference)
        pair = TextPair(os.path.join(folder, first), twins=[os.path.join(folder, twin) for twin in twins])
        if place is not None:
            used.add((place, stem))
            _add_text(pair, place, files.texts[place, stem])
        elif (folder, stem) in files.lines:
            pair.text, pair.line = files.lines[folder, stem]
        pairs.append(pair)
    texts_alone = [
        TextPair(text=os.path.join(folder, next(iter(names.values()))))
        for (folder, stem), names in sorted(files.texts.items())
        if (folder, stem) not in used and not _NO_TEXT.fullmatch(stem)
    ]
    _name_speakers(pairs)
    return [*pairs, *texts_alone]


def _collect(source: Path) -> _Files:
    files = _Files()
    for folder, names in walk(source):
        for name in names:
            if suffix_of(name) in SOUND_SUFFIXES:
                files.sounds[folder, _plain_stem(name)].append(name)
            elif name.endswith(_LISTING):
                for stem, line in _listed(source / folder / name):
                    files.lines[folder, stem] = (os.path.join(folder, name), line)
            elif (text := _text_stem(name)) is not None and _is_text(source / folder / name):
                version = os.path.splitext(name)[0][len(text) :] or os.path.splitext(name)[1].lower()
                files.texts[folder, text].setdefault(version, name)
    return files


def _listed(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as handle:
            for line in handle:
                stem, _, text = line.strip().partition(" ")
                if stem:
                    yield stem, text.strip()
    except OSError:
        return


def _plain_stem(name: str) -> str:
    return _MICROPHONE.sub("", os.path.splitext(name)[0])


def _text_stem(name: str) -> str | None:
    """The name of the recording that a text belongs to; None for what is no text."""
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in TEXT_SUFFIXES or name.endswith(_LISTING):
        return None
    inner, version = os.path.splitext(stem)
    return inner if version in _VERSIONS or suffix_of(stem) in SOUND_SUFFIXES else stem


def _is_text(path: Path) -> bool:
    """False for JSON that holds no text of a single recording."""
    if path.suffix.lower() != ".json":
        return True
    try:
        value = json.loads(path.read_bytes()) if path.stat().st_size < _LARGEST_JSON else None
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(value, dict)
        and not whisper.is_json(value)
        and bool(text_of(value, *TEXT_NAMES, *SPOKEN_NAMES))
    )


def _preference(name: str) -> tuple[int, int, str]:
    """The sound that is least compressed, by the first microphone."""
    suffix = suffix_of(name)
    order = (".wav", ".flac")
    rank = order.index(suffix) if suffix in order else 2 if suffix in AUDIO_SUFFIXES else 3
    microphone = _MICROPHONE.search(os.path.splitext(name)[0])
    return int(microphone[1]) if microphone else 0, rank, name


def _add_text(pair: TextPair, folder: str, names: dict[str, str]) -> None:
    written = next((names[v] for v in (".original", ".orig") if v in names), "")
    spoken = next((names[v] for v in (".normalized", ".norm") if v in names), "")
    plain = next((names[v] for v in TEXT_SUFFIXES if v in names), next(iter(names.values())))
    pair.text = os.path.join(folder, written or spoken or plain)
    pair.spoken = os.path.join(folder, spoken) if spoken and written else ""


def _trees(sounds: set[str], texts: set[str]) -> list[tuple[int, str, str]]:
    """Places in paths at which a tree of recordings and a tree of texts part: (depth, folder, folder)."""
    found = []
    for depth in range(4):
        of_sounds = {parts[depth] for folder in sounds if len(parts := folder.split(os.sep)) > depth}
        read = {parts[depth] for folder in texts if len(parts := folder.split(os.sep)) > depth}
        only_sounds, only_read = of_sounds - read, read - of_sounds
        single = len(only_sounds) == 1 and len(only_read) == 1
        found += [
            (depth, a, b)
            for a in sorted(only_sounds)
            for b in sorted(only_read)
            if a and b and (single or (a.lower() in _PLAIN and b.lower() in _PLAIN))
        ]
    return found


def _across(
    folder: str, others: Sequence[str] | set[str], trees: Sequence[tuple[int, str, str]]
) -> str | None:
    """The folder of a text in the other tree that stands where a recording's folder stands in its own."""
    parts = folder.split(os.sep)
    for depth, of_sounds, read in trees:
        if len(parts) > depth and parts[depth] == of_sounds:
            other = os.sep.join([*parts[:depth], read, *parts[depth + 1 :]])
            if other in others:
                return other
    return None


def _name_speakers(pairs: Sequence[TextPair]) -> None:
    """Folders that are people's: where several hold pairs, or where the layout is one that names them."""
    named = [(pair, _person(pair.sound)) for pair in pairs if pair.text]
    layout = any(pair.line or pair.spoken or _MICROPHONE.search(Path(pair.sound).stem) for pair, _ in named)
    apart = any(os.path.dirname(pair.text) != os.path.dirname(pair.sound) for pair, _ in named)
    if len({os.path.dirname(pair.sound) for pair, _ in named}) > 1 or layout or apart:
        for pair in pairs:
            pair.speaker = _person(pair.sound)


def _person(path: str) -> str:
    folders = [part for part in os.path.dirname(path).split(os.sep) if part]
    return next((f for f in folders if f.lower() not in _PLAIN and not _SPLIT.fullmatch(f.lower())), "")
