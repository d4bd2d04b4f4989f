"""The pages that people follow, word by word: every command of them, on little data and for two steps of training."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import call
from page_commands import DOCS, commands_of
from vocabularies import mms_list, write_vits

ROOT = DOCS.parent
CLIPS = 24
SHORT = ["--max-steps", "2", "--set", "training.validate_every=2", "--set", "training.precision=fp32"]
SMALL = ["--preset", "tiny", *SHORT]
GAP = 0.5
"""Pause between the sentences of a long recording, seconds."""


def pinned(package: str) -> str:
    """The line of constraints.txt that names a package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def sentences() -> list[tuple[Path, str]]:
    """Recordings of the bundled corpus and their texts."""
    with (ROOT / "examples/corpus/metadata.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="|"))[:CLIPS]
    return [(ROOT / "examples/corpus" / row["audio_file"], row["text"]) for row in rows]


def my_recordings(folder: Path) -> None:
    """What a person brings: a folder of sound and a table."""
    wavs = folder / "my-recordings/wavs"
    wavs.mkdir(parents=True)
    lines = []
    for number, (audio, text) in enumerate(sentences(), start=1):
        shutil.copy(audio, wavs / f"{number:04d}.ogg")
        lines.append(f"wavs/{number:04d}.ogg|{text}\n")
    (wavs.parent / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    (folder / "text.txt").write_text("ሰላም ለዓለም።\nእንዴት ናችሁ?\n", encoding="utf-8")


def long_recording(target: Path) -> list[tuple[float, float, str]]:
    """The sentences one after another in one file; start, end and text of each."""
    parts, times, at = [], [], 0.0
    rate = 22050
    for audio, text in sentences():
        wave, rate = soundfile.read(audio, dtype="float32")
        parts += [wave, np.zeros(round(GAP * rate), np.float32)]
        times.append((at, at + len(wave) / rate, text))
        at += len(wave) / rate + GAP
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, np.concatenate(parts), rate)
    return times


def talk(folder: Path) -> None:
    """A recording with subtitles."""
    times = long_recording(folder / "talks/talk.wav")
    captions = [
        f"{number}\n{stamp(start)} --> {stamp(end)}\n{text}\n"
        for number, (start, end, text) in enumerate(times, start=1)
    ]
    (folder / "talks/talk.srt").write_text("\n".join(captions), encoding="utf-8")


def stamp(seconds: float) -> str:
    return f"00:{int(seconds // 60):02d}:{seconds % 60:06.3f}".replace(".", ",")


def chapter(folder: Path) -> None:
    """A recording and its text."""
    times = long_recording(folder / "chapter.wav")
    (folder / "chapter.txt").write_text("\n".join(text for _, _, text in times), encoding="utf-8")


def mms(folder: Path) -> None:
    """A published VITS, small, and recordings."""
    my_recordings(folder)
    write_vits(folder / "mms-tts-amh", mms_list())


def small_vits(folder: Path) -> None:
    """A trained voice of the kind that phones run."""
    my_recordings(folder)
    assert call("prepare", "my-recordings", "--out", "data").code == 0
    assert call("tokenize", "--data", "data", "--kind", "char").code == 0
    assert call("train", "--backend", "vits", "--data", "data", "--out", "run", *SMALL).code == 0


INSTALL = (
    "git clone YOUR-COPY amtts && cd amtts",
    "python3 -m venv .venv && source .venv/bin/activate",
    f"pip install {pinned('torch')}",
    "pip install -c constraints.txt -e .",
)
"""What a page may hold besides `amtts`; `.ci/run` does the same in an empty environment."""

PAGES: dict[str, tuple[Callable[[Path], None], dict[str, list[str]]]] = {
    "../README.md": (my_recordings, {"train": SMALL}),
    "start.md": (my_recordings, {"train": SMALL}),
    "tutorials/recordings.md": (my_recordings, {"train": SMALL}),
    "tutorials/video.md": (talk, {"train": SMALL}),
    "tutorials/long-recording.md": (chapter, {"train": SMALL}),
    "tutorials/mms.md": (mms, {"train": SHORT}),
    "tutorials/use-a-voice.md": (small_vits, {}),
    "tutorials/home-assistant.md": (my_recordings, {}),
    "tutorials/indextts2.md": (my_recordings, {"train": SMALL}),
    "am/index.md": (my_recordings, {"train": SMALL}),
}
"""Page -> what has to be there, and options that shorten its commands."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_it_is_written(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, short = PAGES[page]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    make(tmp_path)
    lines = commands_of(page)
    assert lines
    for line in lines:
        if line[0] != "amtts":
            assert " ".join(line) in INSTALL, line
            continue
        extra = [] if "--resume" in line else short.get(line[1], [])
        done = call(*line[1:], *extra)
        allowed = (0, 1) if line[1] == "validate-e2e" else (0,)  # two steps teach it nothing
        assert done.code in allowed, f"{shlex.join(line)}: {done.err}"


def test_every_page_is_in_the_menu_and_every_link_leads_somewhere() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in sorted(DOCS.rglob("*.md")):
        name = page.relative_to(DOCS).as_posix()
        assert name in menu or name.startswith("design/"), f"{name} is not in mkdocs.yml"
        for target in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{name} names {target}"


def test_pages_that_are_run_say_so() -> None:
    for page in PAGES:
        if page.startswith("tutorials/"):
            assert "is run by a test" in (DOCS / page).read_text(encoding="utf-8"), page
