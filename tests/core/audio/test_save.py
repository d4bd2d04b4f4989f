"""Audio files are complete or absent, in the format of their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from amtts_core.audio.save import FORMATS, check_audio_name, try_folder, write_audio
from amtts_core.errors import AmttsError


def wave(seconds: float = 0.5, rate: int = 22050) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("rate", [16000, 22050, 24000])
def test_every_format_comes_back(tmp_path: Path, ending: str, rate: int) -> None:
    path = tmp_path / "deep" / f"a{ending}"
    write_audio(path, wave(rate=rate), rate)
    back, found = soundfile.read(path, dtype="float32")
    assert found == rate
    assert len(back) == pytest.approx(rate / 2, abs=0.11 * rate)
    assert np.sqrt(np.mean(back**2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.15)
    assert soundfile.info(path).format == FORMATS[ending][0]
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no temporary file stays"


def test_capitals_in_the_ending_do_not_matter(tmp_path: Path) -> None:
    write_audio(tmp_path / "A.WAV", wave(), 22050)
    assert soundfile.info(tmp_path / "A.WAV").format == "WAV"


def test_loud_samples_are_clipped_not_wrapped(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.array([2.0, -2.0, 0.5], np.float32), 22050)
    back, _ = soundfile.read(tmp_path / "a.wav")
    np.testing.assert_allclose(back, [1, -1, 0.5], atol=1e-3)


def test_minutes_of_vorbis_do_not_crash(tmp_path: Path) -> None:
    """libsndfile 1.2.2 overflows its stack when five minutes come in one call; the process would be gone."""
    write_audio(tmp_path / "long.ogg", np.zeros(8000 * 900, np.float32), 8000)
    assert soundfile.info(tmp_path / "long.ogg").duration == pytest.approx(900)


def test_no_audio_at_all(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.zeros(0, np.float32), 22050)
    assert soundfile.info(tmp_path / "a.wav").frames == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.txt", "unknown ending '.txt'; known: .wav .flac .ogg .opus .mp3 .m4a .ulaw .alaw"),
        ("a", "unknown ending ''"),
        ("folder.wav", "is a folder"),
        ("file/a.wav", "file is a file, so"),
        ("file/deep/er/a.wav", "file is a file, so"),
        ("x" * 300 + ".wav", "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").write_text("x")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(AmttsError) as caught:
        write_audio(tmp_path / name, wave(), 22050)
    assert said in str(caught.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.wav"
    write_audio(path, wave(), 22050)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(AmttsError, match=r"a\.wav cannot be written"):
            write_audio(path, wave(3), 22050)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_relative_name_is_checked_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_audio_name(Path("a.wav"))
    check_audio_name(Path("new/folder/a.flac"))


def test_a_folder_that_cannot_be_made_is_no_matter_of_space(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AmttsError, match=r"cannot be written: .*Make it writable, or choose another --out"):
        try_folder(tmp_path / "file" / "out")
