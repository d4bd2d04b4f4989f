"""The table of layouts in docs/importers.md: each example is read, and what is used of it is what the table says."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import soundfile
from recordings import write_wav
from sheets import spreadsheet
from talks import make_talk

from amtts_core.corpus.importers import Clip, choose_importer

PAGE = Path(__file__).parents[2] / "docs/importers.md"
SOUND = make_talk([(0.5, 2.5), (3.0, 5.25)])
_FILE = re.compile(r"`([^`]+)`(?: = `([^`]*)`)?")
_CELLS = re.compile(r"(?<!\\)\|")


def examples() -> list[tuple[str, str, list[tuple[str, str]], str]]:
    """Importer, layout, files and what is used of them, of each row."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("| `--from` |")) + 2
    found = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        importer, layout, files, used = (cell.strip() for cell in _CELLS.split(line)[1:-1])
        content = files.replace("\\|", "|").replace("⏎", "\n").replace("⇥", "\t")
        found.append((importer.strip("`"), layout, _FILE.findall(content), used))
    return found


def parquet(path: Path, text: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    writer = pytest.importorskip("pyarrow.parquet")
    names, *rows = (line.split("\t") for line in text.splitlines())
    handle = io.BytesIO()
    soundfile.write(handle, SOUND, 16000, format="WAV")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    columns["audio"] = [{"bytes": handle.getvalue(), "path": name} for name in columns["audio"]]
    writer.write_table(pyarrow.table(columns), path)


def write(folder: Path, files: list[tuple[str, str]]) -> None:
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not content:
            write_wav(path, SOUND)
        elif path.suffix == ".xlsx":
            spreadsheet(path, [list(line.split("\t")) for line in content.splitlines()])
        elif path.suffix == ".parquet":
            parquet(path, content)
        else:
            path.write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("importer", "files", "used"), [pytest.param(i, f, u, id=layout) for i, layout, f, u in examples()]
)
def test_each_layout_is_read_as_the_table_says(
    tmp_path: Path, importer: str, files: list[tuple[str, str]], used: str
):
    write(tmp_path, files)
    chosen = choose_importer(tmp_path)
    assert chosen.name == importer
    entries = list(chosen.read(tmp_path).entries)
    clips = [entry for entry in entries if isinstance(entry, Clip)]
    aside = {entry.finding.rule for entry in entries if not isinstance(entry, Clip)}
    assert clips, entries
    assert aside <= {"other-language", "other-subtitles", "twin-recording"}, entries
    told = {
        "text": all(clip.text and "|" not in clip.text for clip in clips),
        "normalized text": any(clip.spoken != "" for clip in clips),
        "speaker": all(clip.speaker for clip in clips),
        "start": any(clip.start > 0 for clip in clips),
        "end": any(clip.end is not None for clip in clips),
        "channel": any(clip.channel is not None for clip in clips),
        "language": "other-language" in aside,
    }
    assert ", ".join(sorted(name for name, is_used in told.items() if is_used)) == ", ".join(
        sorted(used.split(", "))
    )


def test_the_table_names_every_importer_but_amtts_own():
    from amtts_core.corpus.importers import IMPORTERS

    assert {importer for importer, *_ in examples()} == set(IMPORTERS) - {"amtts"}
