"""Runs of `prepare` for tests, and what they left behind."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from recordings import SENTENCES, add_line, speech, write_wav

from amtts_core.corpus.prepare import prepare_corpus
from amtts_core.corpus.prepare_report import PrepareReport
from amtts_core.corpus.settings import PrepareSettings

LENIENT = PrepareSettings(max_rejected=1.0)


def run(source: Path, out: Path, chosen: PrepareSettings = LENIENT, **more: Any) -> PrepareReport:
    return prepare_corpus(source, out, chosen, **{"jobs": 1, **more})


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(out: Path) -> dict[str, str]:
    """Digest of every file but the journal."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith("journal")
    }


def rejected(out: Path) -> dict[str, str]:
    return {row["source"]: row["rule"] for row in rows(out / "rejected.jsonl")}


def add_hostile(folder: Path) -> dict[str, str]:
    """Adds one clip of every kind that must be rejected; source -> rule."""
    expected: dict[str, str] = {}
    rate = 16000

    def add(name: str, rule: str, text: str = "") -> None:
        add_line(folder, f"{name}|{text or f'ጽሑፍ ቁጥር {len(expected)} ነው'}")
        expected[name] = rule

    def wav(name: str, samples: np.ndarray, rule: str, *, text: str = "", subtype: str = "PCM_16") -> None:
        write_wav(folder / name, samples, subtype=subtype)
        add(name, rule, text)

    good = speech(99)
    wav("short.wav", speech(100, seconds=0.15), "too-short")
    wav("long.wav", speech(101, seconds=25), "too-long")
    wav("silent.wav", np.zeros(rate), "silent")
    wav("quiet.wav", 1e-4 * speech(102), "silent")
    wav("clipped.wav", np.clip(8 * speech(103, level=1.0), -1, 1), "clipped")
    wav("flat.wav", 0.5 * np.clip(4 * speech(104, level=1.0), -1, 1), "clipped")
    nan = good.copy()
    nan[100:110] = np.nan
    wav("nan.wav", nan, "not-finite", subtype="FLOAT")
    wav("inf.wav", np.where(np.arange(len(good)) == 7, np.inf, good), "not-finite", subtype="FLOAT")
    wav("all-nan.wav", np.full(rate, np.nan), "not-finite", subtype="FLOAT")
    wav("empty.wav", np.zeros(0), "unreadable")
    wav("latin.wav", speech(105), "no-letters", text="... !?")
    wav("endless.wav", speech(108), "text-too-long", text="ሰላም " * 300)
    wav("blank.wav", speech(106), "empty-text", text=" ")
    wav("same-audio.wav", soundfile.read(folder / "wavs/clip00.wav")[0], "duplicate-audio")
    wav("same-text.wav", speech(107), "duplicate-text", text=SENTENCES[0])
    (folder / "zero.wav").touch()
    add("zero.wav", "unreadable")
    (folder / "text.wav").write_text("ሰላም ለዓለም")
    add("text.wav", "unreadable")
    (folder / "cut.wav").write_bytes((folder / "wavs/clip01.wav").read_bytes()[:9000])
    add("cut.wav", "unreadable")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    add("loop.wav", "unreadable")
    os.mkfifo(folder / "pipe.wav")
    add("pipe.wav", "unreadable")
    with (folder / "hours.wav").open("wb") as handle:
        size = 10 * 3600 * 16000
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
        handle.write(
            struct.pack("<4sI4s", b"RIFF", size + 36, b"WAVE") + fmt + struct.pack("<4sI", b"data", size)
        )
        handle.truncate(44 + size)
    add("hours.wav", "too-long")
    add("missing.wav", "missing-file")
    add("../outside.wav", "outside-folder")
    return expected
