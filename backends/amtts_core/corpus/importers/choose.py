"""Finds the importer of a source, by a name or by looking at it; says what a source is that none reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from amtts_core.corpus.importers.base import Importer, ReadOptions
from amtts_core.corpus.importers.json_manifest import detect_json, manifests_in
from amtts_core.corpus.importers.json_rows import is_json_name
from amtts_core.corpus.importers.layout import detect_layout, metadata_file, tables_beside
from amtts_core.corpus.importers.pairing import find_pairs
from amtts_core.corpus.importers.sniff import TIMED, Sniffed, sniff
from amtts_core.corpus.importers.tables_below import tables_below
from amtts_core.corpus.importers.text_pairs import find_text_pairs
from amtts_core.corpus.importers.walk import MEDIA_SUFFIXES, SOUND_SUFFIXES, first_under, suffix_of
from amtts_core.errors import AmttsError, nearest

_SURER = (("hf", "json"), ("hf", "csv"), ("amtts", "json"), ("nemo", "json"))
"""Pairs of importers of which the first knows more about a source that both recognize."""
_SHOWN = 50  # files of a folder that are looked at for something to say


def choose(
    importers: Mapping[str, Importer], source: Path, name: str = "", options: ReadOptions = ReadOptions()
) -> Importer:
    """The importer called `name`, or the only one that recognizes the source.

    Raises:
        AmttsError: the source does not exist, the name is unknown, or none or several importers recognize it.
    """
    if not source.exists():
        raise AmttsError(
            f"{source} does not exist", remedy="Give a folder with a metadata.csv, or the csv itself"
        )
    if name:
        if name not in importers:
            raise AmttsError(
                f"unknown importer '{name}'{nearest(name, importers)}; known: {', '.join(importers)}"
            )
        return importers[name]
    if not source.is_dir():
        return importers[_of_file(importers, source, options)]
    found = [name for name, importer in importers.items() if importer.recognizes(source, options)]
    found = _surest(found, source)
    if not found and (options.columns or tables_below(source, options)):
        found = ["csv"]
    if len(found) == 1:
        return importers[found[0]]
    if not found:
        _explain(source, options)
    raise AmttsError(
        f"{source} can be read in more than one way: {', '.join(found)}",
        remedy=f"Choose with --from: {', '.join(found)}",
    )


def _of_file(importers: Mapping[str, Importer], source: Path, options: ReadOptions) -> str:
    sniffed = sniff(source)
    if not sniffed.importers:
        raise _foreign(source, sniffed)
    for name in sniffed.importers:
        if name in importers and importers[name].recognizes(source, options):
            return name
    if "json" in sniffed.importers:
        detect_json(source, options)  # says what is wrong with it
        return "json"
    if sniffed.importers[0] in ("subtitles", "archive"):
        raise _foreign(source, sniffed)
    detect_layout(source, source.parent, options)  # says what is wrong with it
    return "csv"


def _foreign(source: Path, sniffed: Sniffed) -> AmttsError:
    if sniffed.remedy:
        return AmttsError(f"{source} is {sniffed.what}", remedy=sniffed.remedy)
    if suffix_of(source.name) in SOUND_SUFFIXES or "recording" in sniffed.what:
        return AmttsError(
            f"{source} is {sniffed.what}, and no text of the same name lies beside it"
            f"{', nor captions inside of it' if suffix_of(source.name) in MEDIA_SUFFIXES else ''}",
            remedy="Put its text there as .txt, its captions as .srt, .vtt, .ass or .TextGrid, or give a table",
        )
    return AmttsError(
        f"{source} holds {sniffed.what}, and no recording of the same name lies beside it",
        remedy="Name them alike: talk.mp4 with talk.srt or talk.am.vtt",
    )


def _surest(found: list[str], source: Path) -> list[str]:
    """The importers without those that know less than another one, and texts without those that are timed as well."""
    for first, second in _SURER:
        if first in found and second in found:
            found = [name for name in found if name != second]
    if set(found) == {"subtitles", "wav-txt"}:
        _, pairs = find_pairs(source)
        timed = {pair.media for pair in pairs if pair.media and pair.subtitles}
        if all(pair.sound in timed for pair in find_text_pairs(source) if pair.sound and pair.text):
            return ["subtitles"]
    return found


def _explain(source: Path, options: ReadOptions) -> None:
    """Says what a folder lacks.

    Raises:
        AmttsError: always.
    """
    jsons = manifests_in(source)
    if not tables_beside(source) and jsons:
        detect_json(jsons[0], options)
        names = ", ".join(path.name for path in jsons[:5])
        raise AmttsError(
            f"{source} holds {names}, but no recording that they name is found",
            remedy="Name the folder with the recordings: --audio-root FOLDER",
        )
    files = [path for path in sorted(source.iterdir()) if path.is_file() and not path.name.startswith(".")]
    for path in files[:_SHOWN]:
        if suffix_of(path.name) in SOUND_SUFFIXES:
            continue
        sniffed = sniff(path)
        if (not sniffed.importers and sniffed.remedy) or sniffed.what == TIMED:
            raise _foreign(path, sniffed)
    if not tables_beside(source) and not is_json_name(source):
        sound = first_under(source, SOUND_SUFFIXES)
        if sound is not None:
            raise AmttsError(
                f"{source} holds no metadata.csv, and its recordings ({sound}) have no .txt, .lab, .srt, .vtt, .ass, "
                ".TextGrid or .eaf of the same name",
                remedy="Write metadata.csv with a line a recording: audio_file|text",
            )
    table = metadata_file(source, options)  # says what is missing, and so does the next line
    detect_layout(table, table.parent, options)
    raise AmttsError(f"{source} is no known kind of corpus")


__all__ = ["choose"]
