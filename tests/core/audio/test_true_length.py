"""Lengths come from what is in a file: headers that say too little, too much or nothing, and files joined to one."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import speech, write_wav
from talks import write_media

from amtts_core.audio.decoded import AudioError
from amtts_core.audio.io import decode
from amtts_core.audio.mp3 import find_parts
from amtts_core.audio.stream import sound_blocks

RATE = 16000


def mp3(seed: int, seconds: float, *, rate: int = RATE) -> bytes:
    """A VBR file whose first frame says how long it is."""
    handle = io.BytesIO()
    samples = speech(seed, seconds=seconds, rate=rate)
    soundfile.write(handle, samples, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    return handle.getvalue()


def without_length(content: bytes) -> bytes:
    """The file without the frame that says how long it is."""
    [frames] = find_parts(content)
    assert frames.announced
    return content[int(frames.offsets[0]) :]


def seconds(path: Path) -> float:
    decoded = decode(path)
    with sound_blocks(path) as (rate, blocks):
        streamed = sum(map(len, blocks))
    assert streamed == len(decoded.samples)
    return len(decoded.samples) / decoded.sample_rate


@pytest.mark.parametrize("rate", [16000, 44100])
def test_mp3_is_read_to_its_end_whatever_its_header_says(tmp_path: Path, rate: int):
    loud_start, tail = mp3(1, 1.0, rate=rate), mp3(2, 6.0, rate=rate)
    path = tmp_path / "a.mp3"
    for content, length in [
        (tail, 6.0),
        (without_length(tail), 6.0),
        (loud_start + tail, 7.0),
        (without_length(loud_start) + tail, 7.0),
        (b"ID3\x04\0\0\0\x04\x2f\x10" + bytes(70_000) + without_length(tail) + b"TAG" + bytes(125), 6.0),
        (tail + b"rubbish without sound " * 300 + loud_start, 7.0),
    ]:
        path.write_bytes(content)
        assert seconds(path) == pytest.approx(length, abs=0.25)
        assert len(decode(path, data=content).samples) == len(decode(path).samples)


def test_a_part_of_an_mp3_is_where_it_is_in_the_whole(tmp_path: Path):
    content = mp3(3, 30.0)
    path = tmp_path / "a.mp3"
    for written in (content, without_length(content), mp3(4, 2.0) + content):
        path.write_bytes(written)
        whole = decode(path).samples
        for start in (0.0, 0.01, 1.0, 7.123, 29.0):
            part = decode(path, start=start, duration=0.8).samples
            first = round(start * RATE)
            np.testing.assert_allclose(part, whole[first : first + len(part)], atol=1e-5)
    path.write_bytes(content)
    np.testing.assert_allclose(decode(path).samples, soundfile.read(path, dtype="float32")[0], atol=1e-5)


def test_parts_of_a_joined_mp3_follow_each_other_without_a_gap(tmp_path: Path):
    path, samples = tmp_path / "a.mp3", []
    for seed in (1, 2, 3):
        path.write_bytes(mp3(seed, 2.0))
        samples.append(decode(path).samples)
    path.write_bytes(b"".join(mp3(seed, 2.0) for seed in (1, 2, 3)))
    np.testing.assert_allclose(decode(path).samples, np.concatenate(samples), atol=1e-5)
    part = decode(path, start=1.9, duration=2.3).samples
    np.testing.assert_allclose(part, np.concatenate(samples)[round(1.9 * RATE) :][: len(part)], atol=1e-5)


def test_an_mp3_that_is_cut_off_or_changes_its_rate_is_told(tmp_path: Path):
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3(5, 3.0)[:-2000])
    with pytest.raises(AudioError, match="cut short"):
        decode(path)
    path.write_bytes(mp3(5, 3.0) + mp3(5, 3.0, rate=44100))
    with pytest.raises(AudioError, match=r"another sample rate after 3\.\d\d s"):
        decode(path)


def test_a_damaged_mp3_is_decoded_or_refused_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    path, good = tmp_path / "a.mp3", mp3(6, 2.0)
    for seed in range(12):
        random = np.random.default_rng(seed)
        content = bytearray(good)
        for place in random.integers(600, len(content), 60):
            content[place] ^= int(random.integers(1, 256))
        path.write_bytes(content)
        with contextlib.suppress(AudioError):
            assert len(decode(path).samples) > 0
    assert capfd.readouterr() == ("", "")


def wav_with_size(path: Path, size: int, *, seconds: float = 2.0) -> Path:
    """A wav of so many seconds whose header says another size of the samples."""
    content = bytearray(write_wav(path, speech(seconds=seconds)).read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [0, 2 * RATE, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_sizes_that_were_never_filled_in(tmp_path: Path, size: int):
    path = wav_with_size(tmp_path / "a.wav", size)
    assert seconds(path) == 2.0
    samples = soundfile.read(write_wav(tmp_path / "b.wav", speech(seconds=2.0)), dtype="float32")[0]
    np.testing.assert_array_equal(decode(path).samples, samples)
    np.testing.assert_array_equal(decode(path, start=1.5, duration=0.25).samples, samples[24000:28000])


def test_what_follows_the_samples_is_no_sound(tmp_path: Path):
    path = write_wav(tmp_path / "a.wav", speech(seconds=1.0))
    content = path.read_bytes()
    text = b"LIST" + struct.pack("<I", 40000) + bytes(40000)
    for added in (text, b"TAG" + bytes(125), b"ID3\x04" + bytes(9000), bytes(100)):
        path.write_bytes(content + added)
        assert seconds(path) == 1.0
    path.write_bytes(content[: content.index(b"data") + 4] + bytes(4) + text)
    with pytest.raises(AudioError, match="holds no samples"):
        decode(path)


def test_joined_wavs(tmp_path: Path):
    first, second = (write_wav(tmp_path / f"{n}.wav", speech(n, seconds=n)).read_bytes() for n in (1, 2))
    path = tmp_path / "a.wav"
    path.write_bytes(first + second)
    assert seconds(path) == 3.0
    path.write_bytes(first + write_wav(tmp_path / "c.wav", speech(3), rate=8000).read_bytes())
    with pytest.raises(AudioError, match="another format"):
        decode(path)


@pytest.mark.parametrize("subtype", ["OPUS", "VORBIS"])
def test_ogg_without_its_end_mark(tmp_path: Path, subtype: str):
    path = tmp_path / "a.ogg"
    soundfile.write(path, speech(seconds=3.0), RATE, format="OGG", subtype=subtype)
    content = bytearray(path.read_bytes())
    last = content.rindex(b"OggS")
    content[last + 5] &= ~4
    path.write_bytes(content)
    assert seconds(path) == pytest.approx(3.0, abs=0.1)
    path.write_bytes(content[: last + 40])
    with pytest.raises(AudioError, match="cut short"):
        decode(path)
    path.write_bytes(bytes(content) * 2)
    with pytest.raises(AudioError, match="several Ogg streams"):
        decode(path)


@pytest.mark.parametrize(("right", "wrong"), [("a.webm", "a.wav"), ("a.m4a", "b.mp3"), ("a.m4a", "c.flac")])
def test_the_content_says_what_a_file_is(
    tmp_path: Path, right: str, wrong: str, capfd: pytest.CaptureFixture[str]
):
    rate = 48000 if right.endswith("webm") else RATE
    path = write_media(tmp_path / right, speech(seconds=2.0, rate=rate), rate=rate)
    content = path.read_bytes()
    (tmp_path / wrong).write_bytes(content)
    assert seconds(tmp_path / wrong) == pytest.approx(2.0, abs=0.15)
    assert len(decode(path, data=content).samples) == len(decode(path).samples)
    (tmp_path / wrong).write_bytes(content[:200])
    with pytest.raises(AudioError, match=r"it begins as (WebM|MP4)"):
        decode(tmp_path / wrong)
    assert capfd.readouterr() == ("", "")  # no word of a decoder


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s7--00.wav\n", "git annex get"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"PK\x03\x04" + bytes(60), "it is a zip archive"),
        (b"../store/00abc", "it is text"),
        (b"\x80\x81" * 40, "no known kind of audio"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=said):
        decode(path)


def test_floats_beyond_full_scale_are_not_clipped(tmp_path: Path):
    samples = speech(level=4.0)
    assert np.mean(np.abs(samples) > 1) > 0.05
    assert decode(write_wav(tmp_path / "a.wav", samples, subtype="FLOAT")).full_scale == 0
    assert decode(write_wav(tmp_path / "b.wav", np.clip(samples, -1, 1), subtype="FLOAT")).full_scale > 0.05


def test_channels(tmp_path: Path):
    left, right = speech(1), speech(2)
    path = write_wav(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    assert decode(path).sides_differ
    for number, side in enumerate((left, right)):
        np.testing.assert_allclose(decode(path, channel=number).samples, side, atol=1e-6)
        with sound_blocks(path, channel=number) as (_, blocks):
            np.testing.assert_allclose(np.concatenate(list(blocks)), side, atol=1e-6)
    with pytest.raises(AudioError, match="has 2 channels, but channel 3 is asked for"):
        decode(path, channel=2)
    path = write_wav(tmp_path / "b.wav", np.stack([left, -left], axis=1), subtype="FLOAT")
    opposite = decode(path)
    np.testing.assert_allclose(opposite.samples, left, atol=1e-6)
    assert not opposite.sides_differ
    one_sided = decode(write_wav(tmp_path / "c.wav", np.stack([left, 1e-3 * right], axis=1)))
    assert not one_sided.sides_differ
    np.testing.assert_allclose(
        decode(write_wav(tmp_path / "d.wav", left), channel=1).samples, left, atol=1e-4
    )
