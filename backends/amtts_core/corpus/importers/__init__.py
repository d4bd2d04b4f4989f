"""Importers: a kind of source each, one interface, found by name or by looking at the source."""

from __future__ import annotations

from pathlib import Path

from amtts_core.corpus.importers.amtts_corpus import AmttsCorpus
from amtts_core.corpus.importers.base import Clip, Fault, Importer, Reading
from amtts_core.corpus.importers.common_voice import CommonVoice
from amtts_core.corpus.importers.fleurs import Fleurs
from amtts_core.corpus.importers.hf import HuggingFace
from amtts_core.corpus.importers.kaldi import Kaldi
from amtts_core.corpus.importers.layout import detect_layout, metadata_file
from amtts_core.corpus.importers.ljspeech import LJSpeech
from amtts_core.corpus.importers.metadata_csv import MetadataCsv
from amtts_core.corpus.importers.nemo import Nemo
from amtts_core.corpus.importers.several import read_sources
from amtts_core.corpus.importers.subtitles import Subtitles
from amtts_core.corpus.importers.wav_txt import WavTxt
from amtts_core.errors import AmttsError, nearest

__all__ = ["IMPORTERS", "Clip", "Fault", "Importer", "Reading", "choose_importer", "read_sources"]

_ALL: tuple[Importer, ...] = (
    MetadataCsv(),
    LJSpeech(),
    Kaldi(),
    CommonVoice(),
    Fleurs(),
    HuggingFace(),
    Nemo(),
    WavTxt(),
    Subtitles(),
    AmttsCorpus(),
)
IMPORTERS: dict[str, Importer] = {importer.name: importer for importer in _ALL}


def choose_importer(source: Path, name: str = "") -> Importer:
    """The importer called `name`, or the only one that recognises the source.

    Raises:
        AmttsError: the source does not exist, the name is unknown, or none or several importers recognise it.
    """
    if not source.exists():
        raise AmttsError(
            f"{source} does not exist", remedy="Give a folder with a metadata.csv, or the csv itself"
        )
    if name:
        if name not in IMPORTERS:
            raise AmttsError(
                f"unknown importer '{name}'{nearest(name, IMPORTERS)}; known: {', '.join(IMPORTERS)}"
            )
        return IMPORTERS[name]
    found = [importer for importer in IMPORTERS.values() if importer.recognises(source)]
    if len(found) == 1:
        return found[0]
    if not found:
        table = metadata_file(source)  # says what is missing, and so does the next line
        detect_layout(table, table.parent)
    names = ", ".join(importer.name for importer in found)
    raise AmttsError(
        f"{source} can be read in more than one way: {names}"
        if found
        else f"{source} is no known kind of corpus",
        remedy=f"Choose with --from: {names or ', '.join(IMPORTERS)}",
    )
