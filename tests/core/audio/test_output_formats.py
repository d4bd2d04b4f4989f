"""Speech in the formats, rates, codings and at the loudness that people ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from amtts_core.audio.io import read_audio
from amtts_core.audio.loudness import loudness
from amtts_core.audio.save import FORMATS, AudioOptions, AudioWriter, write_audio
from amtts_core.errors import AmttsError

RATE = 22050
SECONDS = 1.5


def tone(rate: int = RATE) -> np.ndarray:
    time = np.arange(round(SECONDS * rate)) / rate
    return (0.25 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def pitch(wave: np.ndarray, rate: int) -> float:
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax() * rate / len(middle))


@pytest.mark.parametrize("ending", [e for e in FORMATS if e not in (".ulaw", ".alaw")])
@pytest.mark.parametrize("rate", [None, 8000, 16000, 48000])
def test_every_format_at_every_rate_is_heard_again(tmp_path: Path, ending: str, rate: int | None) -> None:
    if ending == ".m4a":
        pytest.importorskip("av")
    path = tmp_path / f"a{ending}"
    write_audio(path, tone(), RATE, options=AudioOptions(sample_rate=rate))
    again = read_audio(path, sample_rate=16000)
    assert len(again) == pytest.approx(SECONDS * 16000, abs=0.08 * 16000)
    assert pitch(again, 16000) == pytest.approx(440, abs=3)
    level = np.sqrt(np.mean(again[4000:-4000] ** 2))
    assert level == pytest.approx(0.25 / np.sqrt(2), rel=0.1)
    if rate and ending not in (".m4a", ".opus"):
        assert soundfile.info(path).samplerate == rate
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".ulaw", ".alaw"])
def test_bare_telephone_samples(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_audio(path, tone(), RATE)
    assert path.stat().st_size == pytest.approx(SECONDS * 8000, abs=2)
    wave, _ = soundfile.read(path, samplerate=8000, channels=1, format="RAW", subtype=FORMATS[ending][1])
    assert pitch(wave, 8000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(("encoding", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW"), ("pcm24", "PCM_24")])
def test_codings_of_a_wav(tmp_path: Path, encoding: str, subtype: str) -> None:
    write_audio(tmp_path / "a.wav", tone(), RATE, options=AudioOptions(encoding=encoding))
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.subtype, info.samplerate) == (subtype, RATE if encoding == "pcm24" else 8000)


def test_loudness_changes_the_level_alone(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", tone(), RATE, options=AudioOptions(loudness=-30))
    wave, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert loudness(wave, RATE) == pytest.approx(-30, abs=0.1)
    assert np.corrcoef(wave, tone())[0, 1] > 0.9999


def test_pieces_make_the_file_that_the_whole_makes(tmp_path: Path) -> None:
    options = AudioOptions(sample_rate=16000)
    write_audio(tmp_path / "whole.wav", tone(), RATE, options=options)
    with AudioWriter(tmp_path / "pieces.wav", RATE, options=options) as writer:
        for piece in np.array_split(tone(), 7):
            writer.write(piece)
    whole, pieces = (soundfile.read(tmp_path / f"{n}.wav")[0] for n in ("whole", "pieces"))
    assert len(whole) == len(pieces)
    assert np.abs(whole - pieces).max() < 1e-3


def test_what_was_written_is_kept_or_discarded(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), AudioWriter(tmp_path / "a.wav", RATE) as writer:  # noqa: PT012
        writer.write(tone())
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    writer = AudioWriter(tmp_path / "a.wav", RATE)
    writer.write(tone())
    assert writer.keep_partial() == tmp_path / "a.partial.wav"
    assert soundfile.info(tmp_path / "a.partial.wav").frames == len(tone())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.txt", {}, "unknown ending"),
        ("a.opus", {"sample_rate": 22050}, "cannot hold 22050"),
        ("a.mp3", {"encoding": "mulaw"}, "one of .wav files"),
        ("a.wav", {"encoding": "ulow"}, "did you mean 'mulaw'"),
        ("a.wav", {"sample_rate": 1}, "out of range"),
        ("a.wav", {"loudness": 5}, "out of range"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(AmttsError, match=said):
        write_audio(tmp_path / name, tone(), RATE, options=AudioOptions(**options))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    import os

    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    (tmp_path / ".a.wav.tmp").symlink_to("/dev/full")
    with pytest.raises(AmttsError, match="cannot be written"):
        write_audio(tmp_path / "a.wav", np.tile(tone(), 20), RATE)
