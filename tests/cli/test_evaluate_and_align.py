"""`amtts align`, `amtts evaluate` and `amtts feedback collect` as a user runs them, mistakes among them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import call

from amtts_core.audio.io import read_audio
from amtts_core.storage.atomic import take_folder

CORPUS = Path(__file__).parents[2] / "examples" / "corpus"
RATE = 16_000


@pytest.fixture(scope="module")
def lines() -> list[list[str]]:
    """[audio file, text] of the bundled corpus."""
    return [
        line.split("|") for line in (CORPUS / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]


@pytest.fixture(scope="module")
def chapter(lines: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with chapter.wav and chapter.txt: six sentences with pauses between them."""
    folder = tmp_path_factory.mktemp("chapter")
    pause = np.zeros(RATE, dtype=np.float32)
    waves = [read_audio(CORPUS / name, sample_rate=RATE) for name, _ in lines[:6]]
    soundfile.write(
        folder / "chapter.wav", np.concatenate([part for wave in waves for part in (wave, pause)]), RATE
    )
    (folder / "chapter.txt").write_text("\n".join(text for _, text in lines[:6]) + "\n", encoding="utf-8")
    return folder


def test_a_chapter_becomes_a_manifest_with_word_times(
    chapter: Path, lines: list[list[str]], tmp_path: Path
) -> None:
    done = call(
        "align", chapter / "chapter.wav", chapter / "chapter.txt", "--out", tmp_path / "cut", "--json"
    )
    assert done.code == 0, done.err
    assert done.json()["rejected"] == 0
    rows = [json.loads(row) for row in (tmp_path / "cut" / "manifest.jsonl").read_text().splitlines()]
    assert " ".join(row["text"] for row in rows) == " ".join(text for _, text in lines[:6])
    ends = [row["offset"] + row["duration"] for row in rows]
    assert all(row["offset"] >= end - 1e-6 for row, end in zip(rows[1:], ends, strict=False))
    assert ends[-1] <= soundfile.info(chapter / "chapter.wav").duration
    times = json.loads((tmp_path / "cut" / "words.json").read_text(encoding="utf-8"))
    assert len(times) == sum(len(text.split()) for _, text in lines[:6])


def test_a_transcript_that_does_not_belong_is_one_line_and_leaves_nothing(
    chapter: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(5 * RATE), RATE)
    out = tmp_path / "cut"
    call("align", tmp_path / "silence.wav", chapter / "chapter.txt", "--out", out).refused("was found in")
    (tmp_path / "empty.txt").write_text("\n")
    call("align", chapter / "chapter.wav", tmp_path / "empty.txt", "--out", out).refused("no sentence")
    call("align", chapter / "chapter.wav", tmp_path / "none.txt", "--out", out).refused("none.txt")
    assert not out.exists()


def test_mistakes_of_an_evaluation_leave_nothing(chapter: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    done = call("align", chapter / "chapter.wav", chapter / "chapter.txt", "--out", tmp_path / "cut")
    assert done.code == 0, done.err
    manifest, out = tmp_path / "cut" / "manifest.jsonl", tmp_path / "evaluation"
    asked = ("evaluate", "--out", out, "--no-public-list")
    call(*asked, "--manifest", tmp_path / "empty.jsonl").refused("holds no utterance")
    call(*asked, "--checkpoint", tmp_path / "none", "--manifest", manifest).refused("does not exist")
    call(*asked, "--recognizer", tmp_path / "none", "--manifest", manifest).refused("is no folder")
    call("evaluate", "--out", out, "--no-public-list").refused("nothing to evaluate")
    assert not out.exists()


def test_recordings_alone_give_the_floor(chapter: Path, tmp_path: Path) -> None:
    done = call("align", chapter / "chapter.wav", chapter / "chapter.txt", "--out", tmp_path / "cut")
    assert done.code == 0, done.err
    manifest = tmp_path / "cut" / "manifest.jsonl"
    options = ("--no-public-list", "--metrics", "text,signal", "--out", tmp_path / "evaluation", "--json")
    done = call("evaluate", "--manifest", manifest, *options)
    assert done.code == 0, done.err
    (floor,) = [s for s in done.json()["summaries"] if s["subset"] == "all"]
    assert floor["system"] == "recordings"
    assert floor["figures"]["cer"][0] < 0.05
    assert (tmp_path / "evaluation" / "report.html").is_file()


def test_two_evaluations_do_not_share_a_folder(chapter: Path, tmp_path: Path) -> None:
    done = call("align", chapter / "chapter.wav", chapter / "chapter.txt", "--out", tmp_path / "cut")
    assert done.code == 0, done.err
    out = tmp_path / "e"
    out.mkdir()
    handle = take_folder(out)
    assert handle is not None
    try:
        done = call("evaluate", "--manifest", tmp_path / "cut" / "manifest.jsonl", "--out", out)
        done.refused(f"another evaluation writes into {out}", "choose another --out")
    finally:
        os.close(handle)
    assert not list(out.iterdir())
