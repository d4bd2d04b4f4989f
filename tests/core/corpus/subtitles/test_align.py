"""Clock and cuts: offset, rate and edges are recovered from the voice, whatever else the recording holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from talks import Span, make_spans, make_talk, write_media

from amtts_core.audio.activity import detect_activity, voiced_by_energy
from amtts_core.audio.decoded import AudioError
from amtts_core.audio.trim import FRAME
from amtts_core.corpus.subtitles.align import align
from amtts_core.corpus.subtitles.cue import Cue
from amtts_core.corpus.subtitles.cut import REACH, Cut, move_edges


def frames_of(spans: list[Span], *, tail: float = 3.0) -> np.ndarray:
    """What a faultless detector would find."""
    out = np.zeros(round((spans[-1][1] + tail) / FRAME), bool)
    for start, end in spans:
        out[round(start / FRAME) : round(end / FRAME)] = True
    return out


def heard(tmp_path: Path, spans: list[Span], **more: float) -> np.ndarray:
    soundfile.write(tmp_path / "talk.wav", make_talk(spans, **more), 16000)
    return detect_activity(tmp_path / "talk.wav").voiced


def test_voice_is_found_under_a_dc_offset(tmp_path: Path):
    spans = make_spans(20)
    truth = frames_of(spans, tail=1.0)
    for offset in (0.0, -0.125):
        voiced = heard(tmp_path, spans, offset=offset)
        assert abs(len(voiced) - len(truth)) <= 1
        assert np.mean(voiced[: len(truth)] == truth[: len(voiced)]) > 0.97


def test_silence_and_what_cannot_be_decoded(tmp_path: Path):
    assert not voiced_by_energy(np.full(500, -80.0)).any()
    for name, content in (
        ("a.wav", b""),
        ("b.wav", b"RIFF"),
        ("c.mp4", b"no video" * 99),
        ("d.mp4", b"#EXTM3U\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AudioError):
            detect_activity(tmp_path / name)


@pytest.mark.parametrize("rate", [1.0, 25 / 23.976, 23.976 / 25, 1.001, 25 / 24])
@pytest.mark.parametrize("offset", [0.0, -1.5, 12.3])
def test_offset_and_rate_are_recovered_within_a_tenth_of_a_second(tmp_path: Path, rate: float, offset: float):
    spans = make_spans(60, seed=3)
    voiced = frames_of(spans)
    random = np.random.default_rng(1)
    written = [
        (
            (start + random.uniform(-0.2, 0.1) - offset) / rate,
            (end + random.uniform(-0.1, 0.3) - offset) / rate,
        )
        for start, end in spans
    ]
    found = align(written, voiced)
    errors = [abs(found.map(time) - (rate * time + offset)) for span in written for time in span]
    assert max(errors) < 0.1, found.describe()


def test_a_drift_that_no_standard_explains(tmp_path: Path):
    spans = make_spans(120, seed=5)
    rate, offset = 1.0006, 0.4
    written = [((start - offset) / rate, (end - offset) / rate) for start, end in spans]
    found = align(written, frames_of(spans))
    assert max(abs(found.map(a) - b[0]) for (a, _), b in zip(written, spans, strict=True)) < 0.1


def test_the_real_detector_finds_the_drift_too(tmp_path: Path):
    spans = make_spans(40, seed=7)
    rate = 25 / 23.976
    found = align([(start / rate, end / rate) for start, end in spans], heard(tmp_path, spans))
    assert abs(found.map(spans[-1][1] / rate) - spans[-1][1]) < 0.1
    assert found.rate == pytest.approx(rate)


def test_nothing_is_moved_without_a_reason():
    spans = make_spans(30)
    assert not align(spans, frames_of(spans)).changes
    noise = np.random.default_rng(0).random(30_000) > 0.5
    assert not align(spans, noise).changes
    assert align(spans, noise).doubtful
    assert not align(spans, np.zeros(9000, bool)).changes
    assert not align([], frames_of(spans)).changes
    assert (
        not align(spans[:1], frames_of(spans)).changes
        or abs(align(spans[:1], frames_of(spans)).offset) <= 2.3
    )


def cuts_of(spans: list[Span]) -> list[Cut]:
    return [Cut(start, end, (Cue(n, start, end, "ሰላም"),)) for n, (start, end) in enumerate(spans, 1)]


def test_edges_move_to_the_nearest_silence():
    truth = [(1.0, 2.0), (2.6, 4.0), (4.2, 6.0)]
    voiced = frames_of(truth)
    levels = np.where(voiced, -20.0, -80.0)
    moved = move_edges(cuts_of([(1.15, 1.8), (2.8, 4.1), (4.1, 5.9)]), voiced, levels)
    for cut, (start, end) in zip(moved, truth, strict=True):
        assert start - 0.15 <= cut.start <= start
        assert end <= cut.end <= end + 0.15
    far = move_edges(cuts_of([(1.5, 1.55)]), voiced, levels)  # no silence within reach: it stays
    assert (far[0].start, far[0].end) == (1.5, 1.55)


def test_edges_stop_at_captions_that_are_not_used():
    voiced = frames_of([(1.0, 2.0), (2.3, 3.0)])
    levels = np.where(voiced, -20.0, -80.0)
    moved = move_edges(cuts_of([(1.0, 2.05)]), voiced, levels, others=[(2.1, 3.0), (0.0, 0.95)])
    assert moved[0].end <= 2.1
    assert moved[0].start >= 0.95


@settings(max_examples=80, deadline=None)
@given(
    times=st.lists(st.floats(0, 30, allow_nan=False), min_size=2, max_size=24, unique=True),
    seed=st.integers(0, 99),
    density=st.floats(0, 1),
)
def test_edges_never_pass_a_neighbour(times: list[float], seed: int, density: float):
    ordered = sorted(round(time, 3) for time in times)
    spans = [(a, b) for a, b in zip(ordered[::2], ordered[1::2], strict=False) if b - a > 0.05]
    random = np.random.default_rng(seed)
    voiced = np.repeat(random.random(100) < density, 31)
    moved = move_edges(cuts_of(spans), voiced, random.random(len(voiced)))
    assert all(a.end <= b.start + 1e-9 for a, b in zip(moved, moved[1:], strict=False))
    limit = len(voiced) * FRAME
    for cut, (start, end) in zip(moved, spans, strict=True):
        assert cut.start <= cut.end
        assert abs(cut.start - min(start, limit)) <= REACH + 0.06
        assert abs(cut.end - min(end, limit)) <= REACH + 0.06


def test_a_late_sound_track_keeps_its_place(tmp_path: Path):
    spans = make_spans(5)
    path = write_media(tmp_path / "talk.webm", make_talk(spans, rate=48000), rate=48000)
    voiced = detect_activity(path).voiced
    truth = frames_of(spans, tail=1.0)
    size = min(len(voiced), len(truth))
    assert np.mean(voiced[:size] == truth[:size]) > 0.95
