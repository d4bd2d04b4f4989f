"""Writes `report.html` and `report.json` into a corpus folder."""

from __future__ import annotations

from pathlib import Path

from amtts_core.corpus.report.gather import gather
from amtts_core.corpus.report.model import CorpusReport
from amtts_core.corpus.report.page import render
from amtts_core.corpus.workspace import writing
from amtts_core.storage.atomic import replace_text

PAGE, DATA = "report.html", "report.json"


def write_report(folder: Path, *, embed_audio: bool = True) -> CorpusReport:
    """Reads the corpus once and writes both files; each appears whole or not at all.

    Args:
        folder: of the corpus.
        embed_audio: puts the audio of the worst utterances inside the page, up to 12 MB, so that it can be sent around.

    Raises:
        AmttsError: the folder is no corpus, or cannot be written.
    """
    report = gather(folder)
    page = render(report, folder, embed_audio=embed_audio)
    for name, text in ((PAGE, page), (DATA, report.model_dump_json(indent=2) + "\n")):
        with writing(folder / name):
            replace_text(folder / name, text, errors="backslashreplace")
    return report
