"""Which files belong together: recordings and the files with captions or annotations of the same name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from amtts_core.corpus.importers.column_names import LANGUAGES
from amtts_core.corpus.importers.record import language_names
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, suffix_of, walk
from amtts_core.corpus.subtitles.read import ANNOTATIONS, CAPTIONS, is_timed

_ORDER = (
    *ANNOTATIONS,
    ".srt",
    ".vtt",
    ".ass",
    ".ssa",
    ".sbv",
    ".ttml",
    ".dfxp",
    ".smi",
    ".sami",
    ".sub",
    ".json",
    ".tsv",
)
"""Of several files with the same words, the one that people made or that programs read best comes first."""
_MARKED = re.compile(r"(?P<stem>.+)[-_ ]+\(?(?P<mark>[A-Za-z]{2,9})\)?")
_SAME_LETTERS = frozenset(("ti", "tir", "tigrinya", "tig", "tigre", "gez", "geez"))
_MAYBE = (".json", ".tsv")


@dataclass
class Pair:
    """A recording and its captions, as paths relative to the corpus folder; the best captions come first."""

    media: str = ""
    subtitles: list[str] = field(default_factory=list)


def find_pairs(source: Path, language: str = "am") -> tuple[Path, list[Pair]]:
    """The folder, and every recording and caption file in it; for a file its own pair alone."""
    if source.is_dir():
        return source, [
            pair for folder, names in walk(source) for pair in _paired(source, folder, names, language)
        ]
    if suffix_of(source.name) not in SOUND_SUFFIXES and not is_timed(source):
        return source.parent, []
    pairs = _paired(source.parent, "", sorted(os.listdir(source.parent)), language)
    return source.parent, [pair for pair in pairs if source.name in (pair.media, *pair.subtitles)]


def recording_of(path: Path) -> Path | None:
    """The recording that a caption file, or the recording itself, belongs to; None for other files."""
    if path.is_dir():
        return None
    folder, pairs = find_pairs(path)
    return next((folder / pair.media for pair in pairs if pair.media), None)


def _paired(root: Path, folder: str, names: list[str], language: str) -> list[Pair]:
    sounds = {name: Pair(os.path.join(folder, name)) for name in names if suffix_of(name) in SOUND_SUFFIXES}
    stems = {os.path.splitext(name)[0]: name for name in reversed(list(sounds))}
    alone: list[Pair] = []
    for name in names:
        suffix = suffix_of(name)
        if suffix not in CAPTIONS and suffix not in ANNOTATIONS and suffix not in _MAYBE:
            continue
        stem = _stem_of(root / folder / name, stems)
        if suffix in _MAYBE and (not stem or not is_timed(root / folder / name)):
            continue
        if stem:
            sounds[stems[stem]].subtitles.append(os.path.join(folder, name))
        else:
            alone.append(Pair(subtitles=[os.path.join(folder, name)]))
    for pair in sounds.values():
        pair.subtitles.sort(
            key=lambda name: (language_rank(name, language), _ORDER.index(suffix_of(name)), name)
        )
    return [*_without_twins(list(sounds.values())), *alone]


def _stem_of(path: Path, stems: dict[str, str]) -> str:
    """The recording's name without its suffix, given that of its captions; empty where there is none."""
    stem = path.name
    while stem and stem not in stems:  # talk.am.srt belongs to talk.mp4
        if stem in stems.values():  # talk.wav.srt
            return os.path.splitext(stem)[0]
        shorter = os.path.splitext(stem)[0]
        stem = shorter if shorter != stem else ""
    if not stem and (
        marked := _MARKED.match(os.path.splitext(path.name)[0])
    ):  # talk_am.srt, talk-amharic.srt
        stem = marked["stem"] if marked["stem"] in stems and is_mark(marked["mark"]) else ""
    if not stem and path.suffix.lower() == ".eaf":
        from amtts_core.corpus.subtitles.annotations import media_of

        named = [os.path.splitext(url.replace("\\", "/").rsplit("/", 1)[-1])[0] for url in media_of(path)]
        return next((name for name in named if name in stems), "")
    return stem


def _without_twins(pairs: list[Pair]) -> list[Pair]:
    """A recording beside its conversion, as talk.mp4 and talk.wav, is one recording: the one with the captions."""
    captioned = {os.path.splitext(pair.media)[0] for pair in pairs if pair.subtitles}
    return [pair for pair in pairs if pair.subtitles or os.path.splitext(pair.media)[0] not in captioned]


def is_mark(written: str) -> bool:
    """True for a code or a name of a language."""
    return written.casefold() in LANGUAGES


def names_another(name: str, language: str) -> str:
    """The mark of another language of the same letters, as in talk.ti.srt; empty where there is none."""
    main, _ = _mark_of(os.path.splitext(os.path.basename(name))[0])
    return main if main in _SAME_LETTERS and main not in language_names(language) else ""


def _mark_of(stem: str) -> tuple[str, str]:
    """What a name says of the language, in parts: `talk.am-orig` has the parts `am` and `orig`."""
    code = os.path.splitext(stem)[1].lstrip(".").casefold().replace("_", "-")
    if not code and (marked := _MARKED.match(stem)) and is_mark(marked["mark"]):
        code = marked["mark"].casefold()
    main, _, more = code.partition("-")
    return main, more


def language_rank(name: str, language: str) -> int:
    """The wanted language by name first, then files that name none, then machine translations, then other languages."""
    stem = os.path.splitext(os.path.basename(name))[0]
    if suffix_of(stem) in SOUND_SUFFIXES:
        return 1
    main, more = _mark_of(stem)
    if main in language_names(language):
        return (
            2 if len(more) in (2, 3) and more not in ("et", "er") else 0
        )  # am-en was translated from English
    return 3 if main.isalpha() and (len(main) in (2, 3) or is_mark(main)) else 1
