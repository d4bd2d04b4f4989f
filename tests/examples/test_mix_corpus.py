"""Corpora joined for a base voice: who is in, how many of each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

SCRIPT = Path(__file__).resolve().parents[2] / "examples/vocoders/mix_corpus.py"


def source(folder: Path, speakers: tuple[str, ...]) -> Path:
    """A corpus with a row a speaker; without a column of speakers where they are ''."""
    (folder / "audio").mkdir(parents=True)
    named = any(speakers)
    rows = ["audio_file|text|speaker_name" if named else "audio_file|text"]
    for number, speaker in enumerate(speakers):
        soundfile.write(folder / f"audio/{number}.wav", np.zeros(800, np.float32), 8000)
        rows.append(f"audio/{number}.wav|ሰላም {number}" + (f"|{speaker}" if named else ""))
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def mixed(out: Path, *options: str) -> list[str]:
    """Speakers of the rows of what is made."""
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(out), *options], check=True)
    return [row.split("|")[2] for row in (out / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:]]


def test_rows_without_a_speaker_are_taken_and_named_speakers_left_out(tmp_path: Path) -> None:
    plain, many = source(tmp_path / "plain", ("", "")), source(tmp_path / "many", ("a", "b", "a", "a"))
    sources = ("--source", f"am={plain}", "--source", f"real={many}")
    assert mixed(tmp_path / "1", *sources) == ["am-one-1"] * 2 + [f"real-{who}-1" for who in "abaa"]
    assert mixed(tmp_path / "2", *sources, "--leave-out", "b", "--each", "1") == ["am-one-1", "real-a-1"]
    paced = mixed(tmp_path / "3", "--source", f"am={plain}:1", "--paces", "1,0.5")
    assert paced == ["am-one-1", "am-one-0.5"]
    assert soundfile.info(tmp_path / "3/audio/am_0000_0.5.flac").duration > 0.19
