"""What is measured of each clip, the rules over it, and the pace against the speaker's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared import contents, rejected, rows, run
from recordings import make_corpus, speech, write_wav

from amtts_core.audio.bandwidth import bandwidth
from amtts_core.audio.io import resample
from amtts_core.audio.trim import find_speech
from amtts_core.corpus.pace import SpeakerPace
from amtts_core.corpus.settings import PrepareSettings


def test_bandwidth_sees_through_a_higher_rate():
    wide = speech(1, rate=22050) + 1e-3 * np.random.default_rng(0).standard_normal(33075).astype(np.float32)
    assert bandwidth(wide, 22050) == pytest.approx(11025, rel=0.02)
    narrow = resample(resample(wide, 22050, 8000), 8000, 22050)
    assert bandwidth(narrow, 22050) == pytest.approx(4000, rel=0.08)
    coarse = np.rint(narrow * 32767) / 32767
    assert bandwidth(coarse, 22050) == pytest.approx(4000, rel=0.08)
    assert bandwidth(np.zeros(100), 22050) == 0
    assert bandwidth(wide[:50], 22050) > 0


@pytest.mark.parametrize("noise", [20, 40])
def test_the_noise_estimate(noise: int):
    rate, random = 16000, np.random.default_rng(3)
    tone = np.concatenate([np.zeros(rate), 0.1 * np.sin(np.arange(2 * rate)), np.zeros(rate)])
    level = 0.1 / np.sqrt(2) * 10 ** (-noise / 20)
    found = find_speech(tone + level * random.standard_normal(len(tone)), rate, below=40, margin=0.05)
    assert found.snr == pytest.approx(noise, abs=2)


def test_digital_silence_is_no_studio():
    rate, random = 16000, np.random.default_rng(3)
    noisy = speech(2, seconds=3) + 0.005 * random.standard_normal(3 * rate)
    padded = np.concatenate([np.zeros(rate), noisy, np.zeros(rate)])
    assert find_speech(padded, rate, below=40, margin=0.05).snr < 60


def test_the_manifest_holds_the_measures(tmp_path: Path):
    run(make_corpus(tmp_path / "in", 6), tmp_path / "out")
    for row in rows(tmp_path / "out/manifest.jsonl"):
        measures = row["measures"]
        assert measures["bandwidth"] == pytest.approx(8000, rel=0.02)
        assert measures["snr"] > 10
        assert 0 <= measures["silence"] < 0.2
        assert measures["source_rate"] == 16000
        letters = sum(character.isalpha() for character in row["normalized_text"])
        assert measures["letters_per_second"] == pytest.approx(letters / row["duration"], rel=0.02)
        assert measures["pace"] > 0


@pytest.mark.parametrize(
    ("rule", "samples", "text", "settings"),
    [
        ("noisy", speech(1) + 0.05 * np.random.default_rng(1).standard_normal(24000), "", {"min_snr": 15}),
        ("silent-ends", speech(1, silence=2.0), "", {"max_silence": 0.5}),
        ("narrow-band", resample(speech(1, rate=6000), 6000, 16000), "", {"min_bandwidth": 6000}),
        ("too-slow", speech(1, seconds=5), "ሰላም", {"min_letters_per_second": 2}),
        ("too-fast", speech(1), "ሰላም ለሁሉም ይሁን " * 12, {"max_letters_per_second": 50}),
        ("wrong-script", speech(1), "This is not Amharic ሰላም", {}),
    ],
)
def test_rules(tmp_path: Path, rule: str, samples: np.ndarray, text: str, settings: dict[str, Any]):
    source = make_corpus(tmp_path / "in", 2)
    write_wav(source / "bad.wav", samples)
    with (source / "metadata.csv").open("a", encoding="utf-8") as table:
        table.write(f"\nbad.wav|{text or 'ይህ ሌላ ጽሑፍ ነው።'}\n")
    run(source, tmp_path / "out", PrepareSettings(max_rejected=1, **settings))
    assert rejected(tmp_path / "out") == {"bad.wav": rule}
    (row,) = rows(tmp_path / "out/rejected.jsonl")
    assert row["value"] != row["threshold"]


def _two_voices(folder: Path) -> Path:
    """A slow and a fast speaker, each in their own way regular, and one text too long for its audio."""
    lines = ["audio_file|text|speaker_name"]
    for number in range(12):
        voice, words = ("slow", 2) if number % 2 else ("fast", 7)
        if number == 5:
            words = 5
        write_wav(folder / f"{number}.wav", speech(number, seconds=2))
        letters = "".join(chr(0x1208 + (5 * number + i) % 7 + 8 * (number // 2)) for i in range(3))
        lines.append(f"{number}.wav|{' '.join([letters] * words)}|{voice}")
    (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_clip_off_its_speakers_pace_is_flagged(tmp_path: Path):
    report = run(_two_voices(tmp_path / "in"), tmp_path / "out")
    assert (report.total, report.kept, report.flags) == (12, 12, {"pace": 1})
    flagged = [row for row in rows(tmp_path / "out/manifest.jsonl") if row.get("flags")]
    assert [(row["id"], row["flags"]) for row in flagged] == [("5", ["pace"])]
    assert flagged[0]["measures"]["pace"] == pytest.approx(2.5, rel=0.1)
    assert any("pace=reject" in warning for warning in report.warnings)


def test_or_rejected_and_a_rerun_agrees(tmp_path: Path):
    source, out = _two_voices(tmp_path / "in"), tmp_path / "out"
    settings = PrepareSettings(pace="reject", max_rejected=1)
    report = run(source, out, settings)
    assert (report.total, report.kept, report.reasons) == (12, 11, {"pace": 1})
    assert rejected(out) == {"5.wav": "pace"}
    assert sorted(path.stem for path in (out / "audio").iterdir()) == sorted(
        row["id"] for row in rows(out / "manifest.jsonl")
    )
    before = contents(out)
    again = run(source, out, settings)
    assert (again.kept, again.reasons) == (11, {"pace": 1})
    assert contents(out) == before


def test_speakers_with_few_clips_are_held_against_all():
    pace = SpeakerPace()
    for value in (8, 9, 10, 11, 12):
        pace.add("many", value)
    pace.add("one", 30)
    assert pace.ratio("many", 20) == 2.0
    assert pace.ratio("one", 30) == pytest.approx(30 / 10.5)
    alone = SpeakerPace()
    alone.add("one", 30)
    assert alone.ratio("one", 30) == 1.0
