"""Importers: a kind of source each, one interface, found by name or by looking at the source."""

from __future__ import annotations

from pathlib import Path

from amtts_core.corpus.importers.amtts_corpus import AmttsCorpus
from amtts_core.corpus.importers.base import Clip, Fault, Importer, Reading, ReadOptions
from amtts_core.corpus.importers.choose import choose
from amtts_core.corpus.importers.common_voice import CommonVoice
from amtts_core.corpus.importers.fleurs import Fleurs
from amtts_core.corpus.importers.hf import HuggingFace
from amtts_core.corpus.importers.kaldi import Kaldi
from amtts_core.corpus.importers.ljspeech import LJSpeech
from amtts_core.corpus.importers.metadata_csv import MetadataCsv
from amtts_core.corpus.importers.nemo import JsonManifest, Nemo
from amtts_core.corpus.importers.several import read_sources
from amtts_core.corpus.importers.subtitles import Subtitles
from amtts_core.corpus.importers.wav_txt import WavTxt

__all__ = [
    "IMPORTERS",
    "Clip",
    "Fault",
    "Importer",
    "ReadOptions",
    "Reading",
    "choose_importer",
    "read_sources",
]

_ALL: tuple[Importer, ...] = (
    MetadataCsv(),
    LJSpeech(),
    Kaldi(),
    CommonVoice(),
    Fleurs(),
    HuggingFace(),
    Nemo(),
    JsonManifest(),
    WavTxt(),
    Subtitles(),
    AmttsCorpus(),
)
IMPORTERS: dict[str, Importer] = {importer.name: importer for importer in _ALL}


def choose_importer(source: Path, name: str = "", options: ReadOptions = ReadOptions()) -> Importer:
    """The importer called `name`, or the only one that recognizes the source.

    Args:
        source: folder or file.
        name: of an importer; empty looks at the source.
        options: what a person says about it.

    Raises:
        AmttsError: the source does not exist, the name is unknown, or none or several importers recognize it.
    """
    return choose(IMPORTERS, source, name, options)
