"""An hour of captions over an MP3 of variable bit rate: every cut lies where its caption says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from prepared import rows, run
from sources import make_files
from talks import Span, make_spans, make_talk, sentences, srt

from amtts_core.audio.io import decode
from amtts_core.audio.mp3 import find_parts
from amtts_core.corpus.settings import PrepareSettings

RATE = 16000
PART, PARTS = 32, 31  # captions, and how often they come
NUMBERS = ("አንድ", "ሁለት", "ሦስት", "አራት", "አምስት", "ስድስት", "ሰባት", "ስምንት", "ዘጠኝ", "አሥር")


def an_hour() -> tuple[np.ndarray, list[Span], list[str]]:
    """Samples, spans and texts; the voice repeats, the noise under it does not."""
    spans = make_spans(PART, seed=11)
    voice = make_talk(spans, tail=1.5)
    length = len(voice) / RATE
    noise = np.random.default_rng(1).standard_normal(len(voice) * PARTS).astype(np.float32)
    all_spans = [(round(s + n * length, 3), round(e + n * length, 3)) for n in range(PARTS) for s, e in spans]
    texts = [
        f"{text[:-1]} {NUMBERS[n // 10]} {NUMBERS[n % 10]}።" for n in range(PARTS) for text in sentences(PART)
    ]
    return np.tile(voice, PARTS) + 5e-4 * noise, all_spans, texts


def lag(part: np.ndarray, whole: np.ndarray, start: float, *, reach: float = 0.05) -> tuple[float, float]:
    """Seconds by which a part lies later in the whole than `start`, and how alike they are there."""
    first, steps = round(start * RATE), round(reach * RATE)
    window = whole[first - steps : first + len(part) + steps]
    products = np.correlate(window, part, mode="valid")
    best = int(np.argmax(products))
    alike = products[best] / (np.linalg.norm(part) * np.linalg.norm(window[best : best + len(part)]))
    return best / RATE - reach, float(alike)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["with its length", "without its length", "joined of two"])
def test_an_hour_of_captions(tmp_path: Path, kind: str):
    samples, spans, texts = an_hour()
    assert len(samples) > 3500 * RATE
    path = tmp_path / "in/talk.mp3"
    path.parent.mkdir()

    def write(part: np.ndarray) -> bytes:
        soundfile.write(
            path, part, RATE, subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.6
        )
        return path.read_bytes()

    content = write(samples)
    if kind == "without its length":
        path.write_bytes(content[int(find_parts(content)[0].offsets[0]) :])
    elif kind == "joined of two":
        half = len(samples) // 2 // 576 * 576
        path.write_bytes(write(samples[:half]) + write(samples[half:]))
    late = 576 / RATE if kind == "without its length" else 0.0  # the encoder's delay, which nothing names
    for start in np.random.default_rng(2).uniform(1, 3500, 20):
        found, alike = lag(decode(path, start=start, duration=2.0).samples, samples, start)
        assert found == pytest.approx(-late, abs=0.001), start
        assert alike > 0.95
    make_files(tmp_path / "in", {"talk.srt": srt(spans, texts)})
    report = run(
        tmp_path / "in", tmp_path / "out", PrepareSettings(sample_rate=RATE, high_pass=0.0, loudness=-20.0)
    )
    assert report.kept > 0.99 * len(spans)
    by_text = dict(zip(texts, spans, strict=True))
    errors = []
    for row in rows(tmp_path / "out/manifest.jsonl")[:: len(spans) // 60]:
        start, end = by_text[row["text"]]
        made = soundfile.read(tmp_path / "out" / row["audio_filepath"], dtype="float32")[0]
        first = max(row["source_start"], start + late - 0.05)  # in the file, where everything lies late
        found, alike = lag(made, samples, first - late, reach=0.3)
        assert alike > 0.95, row["id"]
        errors.append(abs(found))
        last = min(row["source_end"], end + late + 0.05)
        assert row["duration"] == pytest.approx(last - first, abs=0.04)
    assert max(errors) < 0.02, max(errors)
