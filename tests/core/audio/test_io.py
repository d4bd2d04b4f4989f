"""Decoding: every damage is an `AudioError` that says what is wrong; memory follows what is decoded."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import speech, write_wav

from amtts_core.audio.decoded import AudioError, AudioTooLongError
from amtts_core.audio.io import decode, read_audio, resample, write_flac
from amtts_core.errors import AmttsError


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_reads_the_formats_people_bring(tmp_path: Path, suffix: str):
    path = write_wav(tmp_path / f"a{suffix}", speech(seconds=1.0))
    decoded = decode(path)
    assert decoded.sample_rate == 16000
    assert abs(len(decoded.samples) - 16000) < 2000
    assert decoded.samples.dtype == np.float32
    assert decoded.full_scale == 0


def test_channels_are_averaged(tmp_path: Path):
    samples = np.stack([np.full(4000, 0.1 * c, np.float32) for c in range(8)], axis=1)
    decoded = decode(write_wav(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert decoded.channels == 8
    np.testing.assert_allclose(decoded.samples, 0.35, atol=1e-6)


def test_equal_samples_decode_equal_from_wav_and_flac(tmp_path: Path):
    samples = np.rint(speech() * 32767).astype(np.int16)
    a = decode(write_wav(tmp_path / "a.wav", samples)).samples
    b = decode(write_wav(tmp_path / "a.flac", samples)).samples
    np.testing.assert_array_equal(a, b)


def test_a_part_of_a_file(tmp_path: Path):
    samples = speech(seconds=2.0)
    path = write_wav(tmp_path / "a.wav", samples, subtype="FLOAT")
    part = decode(path, start=0.5, duration=0.25).samples
    np.testing.assert_allclose(part, samples[8000:12000], atol=1e-6)
    with pytest.raises(AudioError, match="ends before the clip starts"):
        decode(path, start=5.0)
    with pytest.raises(AudioError, match="cut short"):
        decode(path, start=1.5, duration=3.0)


def test_full_scale_samples_are_counted(tmp_path: Path):
    samples = np.clip(speech(level=2.0), -1, 1)
    share = decode(write_wav(tmp_path / "a.wav", samples)).full_scale
    assert share == pytest.approx(np.mean(np.abs(samples) >= 0.999), abs=1e-4)
    assert share > 0.05


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_cut_off_files_are_told(tmp_path: Path, suffix: str):
    whole = write_wav(tmp_path / f"a{suffix}", speech(seconds=3.0))
    content = whole.read_bytes()
    whole.write_bytes(content[: int(len(content) * 0.6)])
    with pytest.raises(AudioError, match="cut short|cannot be decoded"):
        decode(whole)


def test_a_streamed_wav_without_its_length_is_whole(tmp_path: Path):
    path = write_wav(tmp_path / "a.wav", speech(seconds=1.0))
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(bytes(content))
    assert len(decode(path).samples) == 16000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        ("ሰላም ለዓለም".encode(), "cannot be decoded"),
        (b"RIFF", "cannot be decoded"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0", "cannot be decoded"),
        (b"fLaC" + b"\0" * 100, "cannot be decoded"),
        (b"OggS" + b"\0" * 100, "cannot be decoded"),
    ],
)
def test_what_is_no_audio(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=said):
        decode(path)


def test_what_is_no_file(tmp_path: Path):
    with pytest.raises(AudioError, match="folder"):
        decode(tmp_path)
    with pytest.raises(AudioError, match="No such file"):
        decode(tmp_path / "none.wav")
    (tmp_path / "a.raw").write_bytes(b"\0" * 100)
    with pytest.raises(AudioError, match="no header"):
        decode(tmp_path / "a.raw")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="not a regular file"):  # and does not wait for a writer
        decode(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    with pytest.raises(AudioError, match="cannot be opened"):
        decode(tmp_path / "loop.wav")


def test_a_sample_rate_out_of_reason(tmp_path: Path):
    path = write_wav(tmp_path / "a.wav", speech(seconds=0.1), rate=100)
    with pytest.raises(AudioError, match="100 Hz"):
        decode(path)


def test_a_ten_hour_file_is_refused_by_its_header(tmp_path: Path):
    rate = 8000
    size = 10 * 3600 * rate * 2
    path = tmp_path / "long.wav"
    with path.open("wb") as handle:
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
        handle.write(
            struct.pack("<4sI4s", b"RIFF", size + 36, b"WAVE") + fmt + struct.pack("<4sI", b"data", size)
        )
        handle.truncate(44 + size)  # sparse: takes no room
    with pytest.raises(AudioTooLongError) as caught:
        decode(path, max_duration=300)
    assert caught.value.duration == pytest.approx(36000)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([".wav", ".flac", ".ogg", ".mp3"]))
def test_damaged_bytes_decode_or_are_refused(tmp_path: Path, data: st.DataObject, suffix: str):
    path = tmp_path / f"damaged{suffix}"
    whole = tmp_path / f"whole{suffix}"
    if not whole.exists():
        write_wav(whole, speech(seconds=0.5))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, min(len(content) - 1, 400)))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        decoded = decode(path, max_duration=300)
    except AudioError:
        return
    assert len(decoded.samples) <= 300 * decoded.sample_rate


def test_read_audio_resamples_and_names_the_file(tmp_path: Path):
    path = write_wav(tmp_path / "a.wav", speech(seconds=1.0))
    assert len(read_audio(path, sample_rate=22050)) == 22050
    with pytest.raises(AudioError, match="none.wav"):
        read_audio(tmp_path / "none.wav", sample_rate=22050)


def test_resampling_keeps_a_tone():
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    out = resample(tone, 16000, 22050)
    expected = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    assert np.abs(out[500:-500] - expected[500:-500]).max() < 1e-3


def test_write_flac_is_whole_or_absent(tmp_path: Path):
    samples = speech(seconds=0.5)
    size = write_flac(tmp_path / "a.flac", samples, 16000)
    info = soundfile.info(tmp_path / "a.flac")
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert size == (tmp_path / "a.flac").stat().st_size
    np.testing.assert_allclose(soundfile.read(tmp_path / "a.flac")[0], samples, atol=1e-4)
    assert os.listdir(tmp_path) == ["a.flac"]
    with pytest.raises(AmttsError, match="cannot write"):
        write_flac(tmp_path / "no-folder" / "a.flac", samples, 16000)
