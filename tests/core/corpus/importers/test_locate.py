"""One look-up for every importer: a file that is meant is found, one that may be another is not, each way is told."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from prepared import rows, run
from recordings import SENTENCES, speech, write_wav
from sources import clips, make_files

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers import ReadOptions, choose_importer
from amtts_core.corpus.importers.locate import AudioLocator
from amtts_core.errors import AmttsError


@pytest.mark.parametrize(
    ("on_disk", "written", "way"),
    [
        ("wavs/a.wav", "wavs/a.wav", ""),
        ("wavs/a.wav", "a", ""),
        ("wavs/a.wav", "wavs\\a.wav", ""),
        ("wavs/a.wav", "E:\\data\\wavs\\a.wav", "tail"),
        ("wavs/a.wav", "/home/abebe/corpus/wavs/a.wav", "tail"),
        ("wavs/a.wav", "corpus/wavs/a.wav", "tail"),
        ("wavs/a.wav", "DUMMY1/a.wav", "name"),
        ("wavs/a.wav", "{data_root}/wavs/a.wav", "tail"),
        ("wavs/a.wav", "file:///C:/data/wavs/a.wav", "tail"),
        ("wavs/a b.wav", "https://x.org/wavs/a%20b.wav", "tail"),
        ("audio/a.wav", "/data/upload/1/001b2c3d-a.wav", "name"),
        ("audio/a.wav", "/data/local-files/?d=audio/a.wav", "tail"),
        ("wavs/REC1.WAV", "wavs/rec1.wav", "case"),
        ("Wavs/a.wav", "wavs/a.wav", "case"),
        ("wavs/a.flac", "wavs/a.mp3", "suffix"),
        (unicodedata.normalize("NFD", "wavs/café.wav"), "wavs/café.wav", "case"),
        ("deep/er/a.wav", "/x/a.wav", "name"),
    ],
)
def test_names_that_differ(tmp_path: Path, on_disk: str, written: str, way: str):
    locator = AudioLocator(make_files(tmp_path, {on_disk: "x", "wavs/other.wav": "x"}))
    found = locator.find(written)
    assert isinstance(found, Path), found
    assert found == (tmp_path / on_disk).resolve()
    assert list(locator.other_ways) == ([way] if way else [])
    assert bool(locator.notes()) == bool(way)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("one/5.wav", "missing-file"),  # two/5.wav is another person's
        ("/x/one/5.wav", "outside-folder"),
        ("three/1.wav", "ambiguous-file"),
        ("3", "missing-file"),
        ("../secret.wav", "outside-folder"),
        ("/etc/passwd", "outside-folder"),
    ],
)
def test_what_may_be_another_recording_is_not_taken(tmp_path: Path, written: str, rule: str):
    names = ("one/1.wav", "one/2.wav", "two/1.wav", "two/5.wav")
    make_files(tmp_path, {"secret.wav": "x", "3.wav": "x"})
    found = AudioLocator(make_files(tmp_path / "in", dict.fromkeys(names, "x"))).find(written)
    assert isinstance(found, Finding)
    assert found.rule == rule


def test_the_message_shows_a_path_that_was_tried(tmp_path: Path):
    source = make_files(tmp_path / "in", {"metadata.csv": "clips/1.wav|ሰላም\nclips/2.wav|ደህና\n", "x.wav": "x"})
    with pytest.raises(AmttsError, match=r"'clips/1\.wav': .*looked for .*in/clips/1\.wav"):
        choose_importer(source)


def test_lists_beside_the_folder_of_recordings(tmp_path: Path):
    lists = {"filelists/train.txt": "wav/miyu/0.wav|10|ሰላም\n", "filelists/val.txt": "wav/miyu/1.wav|10|ደህና\n"}
    make_files(tmp_path / "in", {**lists, "wav/miyu/0.wav": "x", "wav/miyu/1.wav": "x"})
    for source in ("in/filelists", "in"):
        assert [(clip.text, clip.speaker) for clip in found(tmp_path / source)] == [
            ("ሰላም", "10"),
            ("ደህና", "10"),
        ]
    assert [clip.text for clip in found(tmp_path / "in/filelists/train.txt")] == ["ሰላም"]


def found(source: Path, **more: object) -> list:  # type: ignore[type-arg]
    options = ReadOptions(**more)  # type: ignore[arg-type]
    return list(choose_importer(source, options=options).read(source, options).entries)


def test_another_folder_with_the_recordings(tmp_path: Path):
    make_files(
        tmp_path,
        {
            "in/metadata.csv": "a.wav|ሰላም\nb.wav|ደህና\n",
            "in/x.wav": "x",
            "sound/a.wav": "x",
            "sound/b.wav": "x",
        },
    )
    with pytest.raises(AmttsError, match="--audio-root FOLDER"):
        choose_importer(tmp_path / "in")
    assert [clip.source for clip in found(tmp_path / "in", audio_root=tmp_path / "sound")] == [
        "a.wav",
        "b.wav",
    ]


def test_links_out_of_the_folder_say_where_they_lead(tmp_path: Path):
    make_files(
        tmp_path,
        {"store/00": b"R" * 2000, "in/metadata.csv": "a.wav|ሰላም\nb.wav|ደህና\n", "in/b.wav": b"R" * 2000},
    )
    (tmp_path / "in/a.wav").symlink_to("../store/00")
    link = AudioLocator(tmp_path / "in").find("a.wav")
    assert isinstance(link, Finding)
    assert f"--audio-root {tmp_path}/store" in link.reason
    assert [clip.source for clip in found(tmp_path / "in", audio_root=tmp_path / "store")] == ["00", "b.wav"]
    (tmp_path / "in/a.wav").unlink()
    (tmp_path / "in/a.wav").write_text("../store/00")  # as git writes links where it may not make them
    text = AudioLocator(tmp_path / "in").find("a.wav")
    assert isinstance(text, Finding)
    assert "stored as text" in text.reason
    (tmp_path / "in/a.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    pointer = AudioLocator(tmp_path / "in").find("a.wav")
    assert isinstance(pointer, Finding)
    assert "git lfs pull" in pointer.reason


def test_the_cache_of_the_hub(tmp_path: Path):
    repo = tmp_path / "datasets--someone--corpus"
    make_files(repo, {"blobs/5f": b"R" * 2000, "snapshots/01/metadata.csv": "file_name,text\na.wav,ሰላም\n"})
    (repo / "snapshots/01/a.wav").symlink_to("../../blobs/5f")
    [clip] = found(repo / "snapshots/01")
    assert (clip.source, clip.path) == ("a.wav", repo / "blobs/5f")


def test_a_table_in_each_speakers_folder(tmp_path: Path):
    for name, text in (("abebe", "ሰላም"), ("almaz", "ደህና")):
        make_files(tmp_path / "in" / name, {"metadata.csv": f"0|{text}|{text}\n", "wavs/0.wav": "x"})
    assert [(c.source, c.speaker) for c in found(tmp_path / "in")] == [
        ("abebe/wavs/0.wav", "abebe"),
        ("almaz/wavs/0.wav", "almaz"),
    ]
    assert {c.speaker for c in found(tmp_path / "in", speaker="ሌላ")} == {""}


@pytest.mark.parametrize("form", ["{}", "{}.0", "{}.wav"])
def test_numbers_whose_zeros_a_spreadsheet_dropped(tmp_path: Path, form: str):
    files = {f"wavs/{n:04}.wav": "x" for n in range(3)}
    lines = [f"{form.format(n)}|{SENTENCES[n]}" for n in range(3)]
    make_files(tmp_path, {**files, "metadata.csv": "\n".join(lines)})
    assert [clip.source for clip in clips(tmp_path)] == list(files)


def test_numbers_of_rows_and_speakers_name_no_recording_beside_a_column_that_does(tmp_path: Path):
    files = {f"wavs/{n:04}.wav": "x" for n in range(4)}
    lines = [f"{n % 2}|{3 - n:04}|{SENTENCES[n]}" for n in range(4)]
    make_files(tmp_path, {**files, "metadata.csv": "\n".join(lines)})
    assert [(clip.source, clip.speaker) for clip in clips(tmp_path)] == [
        (f"wavs/{3 - n:04}.wav", str(n % 2)) for n in range(4)
    ]


def test_two_recordings_of_one_number_are_ambiguous(tmp_path: Path):
    make_files(tmp_path, {"01.wav": "x", "001.wav": "x", "2.wav": "x"})
    found = AudioLocator(tmp_path).find("1.0")
    assert isinstance(found, Finding)
    assert found.rule == "ambiguous-file"


def test_escaped_names(tmp_path: Path):
    make_files(tmp_path, {"my clip.wav": "x", "100%25.wav": "x"})
    assert AudioLocator(tmp_path).find("my%20clip.wav") == tmp_path / "my clip.wav"
    assert AudioLocator(tmp_path).find("100%25.wav") == tmp_path / "100%25.wav"


def test_of_the_hubs_cache_the_current_version_is_read(tmp_path: Path):
    cache = tmp_path / "datasets--someone--am"
    for version in ("aaa", "bbb"):
        write_wav(cache / f"snapshots/{version}/a.wav", speech(1))
        make_files(cache, {f"snapshots/{version}/metadata.csv": f"a.wav|{SENTENCES[0]} {version}"})
    make_files(cache, {"refs/main": "aaa"})
    assert run(cache, tmp_path / "out").kept == 1
    assert rows(tmp_path / "out/manifest.jsonl")[0]["text"].endswith("aaa")
