"""Several sources in one command: recordings, folders, tables; nothing is written where one of them is bad."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from command_line import call
from prepared import rows, run
from recordings import add_line, make_corpus, speech, write_wav
from sources import make_files
from talks import make_spans, make_talk, sentences, srt


def make_pair(folder: Path, name: str, seed: int, *, languages: tuple[str, ...] = ("",)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    spans = make_spans(3, seed=seed)
    soundfile.write(folder / f"{name}.wav", make_talk(spans) + seed / 1e4, 16000)
    texts = [f"{text[:-1]} {'ሀሁሂሃሄህሆ'[seed]}።" for text in sentences(3)]
    for language in languages:
        told = texts if language in ("", ".am") else ["Good morning everyone."] * 3
        make_files(folder, {f"{name}{language}.srt": srt(spans, told).encode()})


def test_recordings_and_folders_together(tmp_path: Path):
    make_pair(tmp_path / "one", "talk", 1)
    make_pair(tmp_path / "two", "talk", 2)
    table = make_corpus(tmp_path / "table", 3)
    given = [tmp_path / "one/talk.wav", tmp_path / "two", table]
    report = run(given, tmp_path / "out")  # type: ignore[arg-type]
    assert (report.kept, report.dropped) == (9, 0)
    made = rows(tmp_path / "out/manifest.jsonl")
    sources = [row["source"] for row in made]
    assert sources[::3] == ["one/talk.wav", "two/talk.wav", "table/wavs/clip00.wav"]
    assert len({row["id"] for row in made}) == 9
    again = run(given, tmp_path / "out")  # type: ignore[arg-type]
    assert again.reused == 9
    make_pair(tmp_path / "three", "talk", 3)
    more = run([*given, tmp_path / "three/talk.srt"], tmp_path / "out")  # type: ignore[arg-type]
    assert (more.kept, more.reused) == (12, 9)


def test_a_shell_pattern_gives_recordings_and_subtitles_alike(tmp_path: Path):
    make_pair(tmp_path / "in", "a", 1, languages=(".am", ".en", ".fr"))
    make_pair(tmp_path / "in", "b", 2)
    out = tmp_path / "out"
    done = call("prepare", *sorted((tmp_path / "in").iterdir()), "--out", out, "--jobs", "1", "--json")
    assert done.code == 0, done.err
    report = done.json()  # two other languages of five entries are listed, and no reason to fail
    assert (report["kept"], report["reasons"], report["aside"]) == (6, {}, {"other-subtitles": 2})
    assert {row["subtitles"] for row in rows(out / "manifest.jsonl")} == {"a.am.srt", "b.srt"}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("missing.mp4", "does not exist"),
        ("alone.wav", "alone.wav"),
        ("in", "which is given too"),
        ("in/a.wav", "given twice"),
    ],
)
def test_one_bad_source_writes_nothing(tmp_path: Path, bad: str, said: str):
    make_pair(tmp_path / "in", "a", 1)
    soundfile.write(tmp_path / "alone.wav", make_talk(make_spans(2)), 16000)
    done = call("prepare", tmp_path / "in/a.wav", tmp_path / bad, "--out", tmp_path / "out")
    done.refused(said)
    assert not (tmp_path / "out").exists()


def _empty(kind: str, folder: Path) -> None:
    wav = folder / "wavs/a.wav"
    wav.parent.mkdir(parents=True)
    soundfile.write(wav, make_talk(make_spans(1)), 16000)
    if kind == "csv":
        add_line(folder, "audio_file|text")
    elif kind == "kaldi":
        make_files(folder, {"text": b"", "wav.scp": b""})
    elif kind == "nemo":
        make_files(folder, {"manifest.json": b"\n"})
    elif kind == "common-voice":
        make_files(folder, {"validated.tsv": b"client_id\tpath\tsentence\n"})
    elif kind == "fleurs":
        make_files(folder, {"train.tsv": b""})
    elif kind == "hf":
        make_files(folder, {"metadata.jsonl": b""})
    elif kind == "amtts":
        make_files(folder, {"manifest.jsonl": b"", "prepare.json": b"{}"})
    elif kind == "subtitles":
        make_files(folder, {"wavs/a.srt": b""})
    elif kind == "wav-txt":
        make_files(folder, {"wavs/a.txt": b""})


KINDS = ("csv", "kaldi", "nemo", "common-voice", "fleurs", "hf", "amtts", "subtitles", "wav-txt")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_source_leaves_nothing_behind(tmp_path: Path, kind: str, named: bool):
    _empty(kind, tmp_path / "in")
    done = call("prepare", tmp_path / "in", "--out", tmp_path / "out", *(("--from", kind) if named else ()))
    assert (done.code, done.err.count("error: "), "Traceback" in done.err) == (2, 1, False), done.err
    ledger = tmp_path / "out/rejected.jsonl"  # an entry that is there but empty is listed
    assert ledger.exists() == (kind in ("subtitles", "wav-txt")) == (tmp_path / "out").exists(), done.err


def test_each_folder_is_its_own_speaker_where_no_table_names_one(tmp_path: Path):
    for seed, name in enumerate(("abebe", "almaz", "kebede")):
        make_corpus(tmp_path / name, 2)
        for number in range(2):
            write_wav(tmp_path / name / f"wavs/clip{number:02}.wav", speech(10 * seed + number))
    run([tmp_path / "abebe", tmp_path / "almaz", tmp_path / "kebede"], tmp_path / "out")  # type: ignore[arg-type]
    made = rows(tmp_path / "out/manifest.jsonl")
    assert [(row["source"].split("/")[0], row["speaker"]) for row in made] == [
        (name, name) for name in ("abebe", "abebe", "almaz", "almaz", "kebede", "kebede")
    ]
