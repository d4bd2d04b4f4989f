"""Which detector finds the voice, and that silero's model gets what it expects."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from recordings import speech
from sources import entries, make_files
from talks import srt

from amtts_core.audio import activity
from amtts_core.audio.activity import detect_activity
from amtts_core.audio.trim import FRAME


class LoudIsVoice:
    """Stands in for the ONNX session: a window is voice where it is loud."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, _: None, inputs: dict[str, Any]) -> list[np.ndarray]:
        assert inputs["input"].shape == (1, 512 + 64)
        assert inputs["input"].dtype == np.float32
        assert inputs["state"].shape == (2, 1, 128)
        assert inputs["sr"] == 16000
        self.calls += 1
        loud = np.sqrt(np.mean(inputs["input"][0, 64:] ** 2)) > 0.01
        return [np.array([[0.9 if loud else 0.1]], np.float32), inputs["state"]]


@pytest.mark.parametrize("rate", [16000, 44100])
def test_silero_sees_the_whole_recording_without_its_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int
):
    session = LoudIsVoice()
    monkeypatch.setattr(activity, "_load_silero", lambda: activity._Silero(session))
    soundfile.write(tmp_path / "a.wav", speech(1, seconds=3, rate=rate, silence=1.0) - 0.125, rate)
    found = detect_activity(tmp_path / "a.wav")
    assert found.detector == "silero-vad"
    assert session.calls == pytest.approx(5 * 16000 / 512, abs=2)
    voiced = np.flatnonzero(found.voiced) * FRAME
    assert voiced[0] == pytest.approx(1.0, abs=0.1)
    assert voiced[-1] == pytest.approx(4.0, abs=0.1)
    assert found.duration == pytest.approx(5.0, abs=0.02)


def test_the_log_says_which_detector(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    soundfile.write(tmp_path / "a.wav", speech(1, seconds=2, silence=1.0), 16000)
    make_files(tmp_path, {"a.srt": srt([(1.0, 3.0)], ["ሰላም።"])})
    with caplog.at_level(logging.INFO):
        assert len(entries(tmp_path)) == 1
    assert f"voice activity: {activity.detector_name()}" in caplog.text


def test_short_gaps_are_filled_and_short_bursts_taken_out() -> None:
    def closed(text: str) -> str:
        mask = activity._closed(np.array([sign == "#" for sign in text]), 3)
        return "".join("#" if value else "." for value in mask)

    assert closed("#####.#####") == "###########"
    assert closed("#####...#####") == "#####...#####"
    assert closed("....##....###...") == "..........###..."
    assert closed(".####...") == ".####...", "what the edge cuts may go on behind it"
    assert closed("##....") == "##...."
    assert closed("....##.##....") == "....#####....", "bursts that belong together are one"
    assert not len(activity._closed(np.zeros(0, bool), 3))
