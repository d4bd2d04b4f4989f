"""`amtts synthesize` with many texts: file formats, nothing replaced, runs that are interrupted and gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from command_line import Done, call
from tiny_voice import tiny_voice

RATE = 22050


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice(tmp_path_factory.mktemp("voice"))[1]


def speak(run: Path, out: Path, *arguments: object, stdin: str | None = None) -> Done:
    return call("synthesize", "--checkpoint", run, "--out", out, *arguments, stdin=stdin)


def report(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "speech.jsonl").read_text(encoding="utf-8").splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# ---- nothing is overwritten ----


def test_a_folder_of_recordings_is_refused_and_untouched(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    folder.mkdir()
    write(folder / "metadata.csv", "file|text\n0001.wav|የኔ ቅጂ\n")
    (folder / "0001.wav").write_bytes(b"mine")
    speak(run, folder, "ሰላም።").refused("holds files that `amtts synthesize` did not write: 0001.wav")
    speak(run, folder, "ሰላም።", "--beside").refused("metadata.csv was not written")
    assert (folder / "0001.wav").read_bytes() == b"mine"
    (folder / "metadata.csv").unlink()
    speak(run, folder, "ሰላም።", "--beside").refused("0001.wav was not written", "is not replaced")
    assert names(folder) == ["0001.wav"]
    (folder / "0001.wav").rename(folder / "other.wav")
    assert speak(run, folder, "ሰላም።", "--beside").code == 0
    assert (folder / "other.wav").read_bytes() == b"mine"


def test_a_rerun_speaks_only_what_changed(run: Path, tmp_path: Path) -> None:
    source, out = write(tmp_path / "a.txt", "ሰላም።\nበቃ።\n"), tmp_path / "out"
    assert speak(run, out, "--file", source).code == 0
    before = {name: (out / name).stat().st_mtime_ns for name in ("0001.wav", "0002.wav")}
    again = speak(run, out, "--file", source, "--json")
    assert again.json()["reused"] == 2
    write(source, "ሰላም።\nእሺ።\nበቃ።\n")
    done = speak(run, out, "--file", source, "--json")
    assert done.json()["reused"] == 1
    assert (out / "0001.wav").stat().st_mtime_ns == before["0001.wav"]
    assert (out / "0002.wav").stat().st_mtime_ns > before["0002.wav"]
    assert speak(run, out, "--file", source, "--speed", 2, "--json").json()["reused"] == 0
    (out / "0003.wav").write_bytes(b"cut off")
    assert speak(run, out, "--file", source, "--speed", 2, "--json").json()["reused"] == 2


def test_places_that_cannot_be_written_are_told_before_anything_is_spoken(run: Path, tmp_path: Path) -> None:
    (tmp_path / "c" / "metadata.csv").mkdir(parents=True)
    speak(run, tmp_path / "c", "ሰላም።").refused("metadata.csv")
    assert names(tmp_path) == []
    speak(run, tmp_path / "a.wav", "--file", write(tmp_path / "a.wav", "ሰላም።")).refused("is an input")
    assert (tmp_path / "a.wav").read_text(encoding="utf-8") == "ሰላም።"


# ---- what files of texts say ----


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.csv", "greet_01|ሰላም ለዓለም።\nbye_02|ደህና ሁኑ።\n"),
        ("head.csv", 'text,id\n"ሰላም ለዓለም።",greet_01\n"ደህና ሁኑ።",bye_02\n'),
        ("head.tsv", "id\ttext\ngreet_01\tሰላም ለዓለም።\nbye_02\tደህና ሁኑ።\n"),
        ("lines.jsonl", '{"id":"greet_01","text":"ሰላም ለዓለም።"}\n{"id":"bye_02","text":"ደህና ሁኑ።"}\n'),
        ("list.json", '[{"id":"greet_01","text":"ሰላም ለዓለም።"},{"id":"bye_02","sentence":"ደህና ሁኑ።"}]'),
    ],
)
def test_tables_and_json_name_their_files(run: Path, tmp_path: Path, name: str, content: str) -> None:
    out = tmp_path / "out"
    done = speak(run, out, "--file", write(tmp_path / name, content))
    assert done.code == 0, done.err
    assert names(out) == ["bye_02.wav", "greet_01.wav", "metadata.csv", "speech.jsonl"]
    table = (out / "metadata.csv").read_text(encoding="utf-8").splitlines()
    assert table == ["audio_file|text", "greet_01.wav|ሰላም ለዓለም።", "bye_02.wav|ደህና ሁኑ።"]
    assert [(row["id"], row["text"]) for row in report(out)] == [
        ("greet_01", "ሰላም ለዓለም።"),
        ("bye_02", "ደህና ሁኑ።"),
    ]


def test_columns_for_out_and_formats(run: Path, tmp_path: Path) -> None:
    rows = "id|text|speaker|voice|out\na|ሰላም።|||deep/er\nb|በቃ።|||\n"
    done = speak(run, tmp_path / "out", "--file", write(tmp_path / "a.csv", rows), "--format", "flac")
    assert done.code == 0, done.err
    assert names(tmp_path / "out") == ["b.flac", "deep/er.flac", "metadata.csv", "speech.jsonl"]
    outside = "id|text|speaker|voice|out\na|ሰላም።|||../x\n"
    speak(run, tmp_path / "o2", "--file", write(tmp_path / "b.csv", outside)).refused("line 2", "../x")
    twice = "a|ሰላም።\na|በቃ።\n"
    speak(run, tmp_path / "o2", "--file", write(tmp_path / "c.csv", twice)).refused(
        "line 2", "that of line 1"
    )
    strange = "id|text|speaker\na|ሰላም።|zuze\n"
    speak(run, tmp_path / "o2", "--file", write(tmp_path / "d.csv", strange)).refused("line 2", "zuze")
    assert not (tmp_path / "o2").exists()


SRT = (
    "1\n00:00:00,500 --> 00:00:02,000\nሰላም ለዓለም\n\n2\n00:00:05,000 --> 00:00:05,300\nለመሰረ በተነአ ከወደገ ለመሰረ በተነአ\n\n"
    "3\n00:00:05,400 --> 00:00:08,000\nበቃ\n"
)


def test_captions_are_spoken_at_their_times(run: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.srt", SRT)
    done = speak(run, tmp_path / "a.wav", "--file", source, "--json")
    assert done.code == 0, done.err
    first, second, third = done.json()["files"][0]["captions"]
    assert (first["start"], second["start"]) == (0.5, 5.0)
    assert second["pace"] == 1.5
    assert second["over"] > 0
    assert third["late"] > 0
    assert "caption 0002" in done.err
    wave, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert not wave[: round(0.49 * RATE)].any()
    assert np.abs(wave[round(0.5 * RATE) : round(1.0 * RATE)]).max() > 0.01
    assert speak(run, tmp_path / "out", "--file", source).code == 0
    assert [row["text"] for row in report(tmp_path / "out")] == [
        "ሰላም ለዓለም",
        "ለመሰረ በተነአ ከወደገ ለመሰረ በተነአ",
        "በቃ",
    ]


def test_markdown_html_and_books_are_prose(run: Path, tmp_path: Path) -> None:
    plain = write(tmp_path / "a.txt", "ርዕስ\n\nሰላም ለዓለም።\n\nአንድ\n\nሁለት\n")
    markdown = write(
        tmp_path / "a.md",
        "---\ntitle: x\n---\n# ርዕስ\n\nሰላም **ለዓለም**።\n\n- አንድ\n- [ሁለት](http://x.y)\n\n```\ncode\n```\n",
    )
    page = (
        "<html><head><title>x</title><style>p {}</style></head><body><h1>ርዕስ</h1><p>ሰላም <b>ለዓለም</b>።</p>"
        "<ul><li>አንድ<li>ሁለት</ul><script>var x;</script></body></html>"
    )
    html = write(tmp_path / "a.html", page)
    for source in (plain, markdown, html):
        assert speak(run, tmp_path / f"{source.suffix[1:]}.wav", "--file", source).code == 0
    spoken = {name: (tmp_path / f"{name}.wav").read_bytes() for name in ("txt", "md", "html")}
    assert spoken["txt"] == spoken["md"]
    assert spoken["txt"] == spoken["html"]
    with zipfile.ZipFile(tmp_path / "a.epub", "w") as book:
        container = (
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="o/p.opf"/></rootfiles></container>'
        )
        book.writestr("META-INF/container.xml", container)
        items = '<item id="b" href="b.xhtml"/><item id="a" href="a.xhtml"/>'
        spine = '<spine><itemref idref="a"/><itemref idref="b"/></spine>'
        book.writestr("o/p.opf", f'<package xmlns="http://www.idpf.org/2007/opf">{items}{spine}</package>')
        book.writestr("o/a.xhtml", "<html><body><p>ሰላም</p></body></html>")
        book.writestr("o/b.xhtml", "<html><body><p>በቃ</p></body></html>")
    assert speak(run, tmp_path / "book", "--file", tmp_path / "a.epub").code == 0
    assert [row["text"] for row in report(tmp_path / "book")] == ["ሰላም", "በቃ"]
    speak(run, tmp_path / "no", "--file", write(tmp_path / "bad.epub", "x")).refused("is no EPUB")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"id":"a","txet":"ሰላም"}\n', "did you mean"),
        ("a.jsonl", '{"id":"a"\n', "line 1: it is not JSON"),
        ("a.srt", "ሰላም\n", "holds no caption"),
        ("a.csv", "id|text\na|\n", "line 2: it has no text"),
        ("a.txt", "", "is empty"),
    ],
)
def test_files_that_are_not_what_they_say(
    run: Path, tmp_path: Path, name: str, content: str, said: str
) -> None:
    speak(run, tmp_path / "out", "--file", write(tmp_path / name, content)).refused(said)
    assert not (tmp_path / "out").exists()


def test_bad_rows_are_skipped_and_told_where_asked_for(run: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "id|text\na|ሰላም።\nb|ЖЖ\nc|በቃ። Deezer\n")
    speak(run, tmp_path / "out", "--file", source).refused("line 3", "no letter of 'ЖЖ'", "--skip-bad")
    done = speak(run, tmp_path / "out", "--file", source, "--skip-bad", "--json")
    assert done.code == 1
    rows = {row["id"]: row for row in done.json()["files"]}
    assert "no letter" in rows["b"]["problem"]
    assert "Deezer" in done.err or not rows["c"].get("guesses")
    assert names(tmp_path / "out") == ["a.wav", "c.wav", "metadata.csv", "speech.jsonl"]


# ---- interrupted ----


def test_a_batch_killed_again_and_again_ends_as_if_undisturbed(run: Path, tmp_path: Path) -> None:
    lines = "".join(f"{'ለመሰረ በተነአ ' * (1 + n % 3)}።\n" for n in range(40))
    source, out = write(tmp_path / "a.txt", lines), tmp_path / "out"
    command = [sys.executable, "-m", "amtts_cli", "synthesize", "--checkpoint", str(run)]
    for number, (kind, wanted) in enumerate(((signal.SIGKILL, 5), (signal.SIGINT, 12), (signal.SIGTERM, 20))):
        process = subprocess.Popen(
            [*command, "--file", str(source), "--out", str(out)], stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 120
        while (
            process.poll() is None and len(list(out.glob("*.wav"))) < wanted and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        process.send_signal(kind)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (-signal.SIGKILL, 130, 143), (number, err)
        if kind != signal.SIGKILL:
            assert b"the same command goes on" in err
            table = (out / "metadata.csv").read_text(encoding="utf-8").splitlines()
            assert len(table) - 1 == len(list(out.glob("*.wav")))
    done = speak(run, out, "--file", source, "--json")
    assert done.code == 0, done.err
    assert done.json()["reused"] >= 18
    assert speak(run, tmp_path / "whole", "--file", source).code == 0
    for n in range(1, 41):
        assert (out / f"{n:04d}.wav").read_bytes() == (tmp_path / "whole" / f"{n:04d}.wav").read_bytes()
    assert not list(out.glob(".*"))
    assert report(out) == report(tmp_path / "whole")


def test_a_file_whose_row_a_kill_cut_off_is_ours(run: Path, tmp_path: Path) -> None:
    """Several processes finish files before their rows are noted; `kill -9` may come in between."""
    source, out = write(tmp_path / "a.txt", "ሰላም።\nበቃ።\n"), tmp_path / "out"
    child = """
import os, sys
from amtts_core.synthesis.batch.folder import SpeechFolder
from amtts_cli.app import main
add = SpeechFolder.add
def killed(folder, record):
    if record["id"] == "0002":
        os.kill(os.getpid(), 9)
    add(folder, record)
SpeechFolder.add = killed
main(sys.argv[1:])
"""
    command = ["synthesize", "--checkpoint", str(run), "--file", str(source), "--out", str(out)]
    assert subprocess.run([sys.executable, "-c", child, *command], check=False).returncode == -signal.SIGKILL
    assert names(out) == ["0001.wav", "0002.wav", "speech.jsonl"]
    done = speak(run, out, "--file", source, "--json")
    assert done.code == 0, done.err
    assert done.json()["reused"] == 1
    assert [row["id"] for row in report(out)] == ["0001", "0002"]


def test_a_long_text_that_is_interrupted_leaves_what_was_spoken(run: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "ለመሰረ በተነአ ከወደገ። " * 3000)
    command = [sys.executable, "-m", "amtts_cli", "synthesize", "--checkpoint", str(run)]
    process = subprocess.Popen(
        [*command, "--file", str(source), "--out", str(tmp_path / "a.wav")], stderr=subprocess.PIPE
    )
    partly = tmp_path / ".a.wav.tmp"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if partly.exists() and partly.stat().st_size > 400_000:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"a.partial.wav" in err
    assert soundfile.info(tmp_path / "a.partial.wav").duration > 5
    assert names(tmp_path) == ["a.partial.wav", "a.txt"]


# ---- pipes and processes ----


def test_a_redirected_wav_has_a_true_header(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "amtts_cli", "synthesize", "--checkpoint", str(run), "--out", "-"]
    with (tmp_path / "a.wav").open("wb") as out:
        subprocess.run([*command, "ሰላም ለዓለም።"], stdout=out, check=True, capture_output=False)
    header = (tmp_path / "a.wav").read_bytes()[:44]
    assert int.from_bytes(header[40:44], "little") == (tmp_path / "a.wav").stat().st_size - 44
    full = subprocess.run(
        f"{' '.join(command)} ሰላም > /dev/full", shell=True, capture_output=True, text=True, check=False
    )
    assert full.returncode == 2
    assert "standard output cannot be written" in full.stderr
    assert "Traceback" not in full.stderr


def test_lines_of_a_pipe_are_spoken_as_they_come(run: Path) -> None:
    command = [sys.executable, "-m", "amtts_cli", "synthesize", "--checkpoint", str(run), "--out", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write("ሰላም።\n".encode())
    process.stdin.flush()
    assert process.stdout.read(44).startswith(b"RIFF"), "before the second line is there"
    assert len(process.stdout.read(2000)) == 2000
    process.stdin.write("በቃ።\n".encode())
    rest, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert len(rest) > 10_000


@pytest.mark.slow
def test_processes_speak_what_one_process_speaks(run: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "ሰላም።\nበቃ።\nእሺ።\n")
    assert speak(run, tmp_path / "one", "--file", source).code == 0
    assert speak(run, tmp_path / "two", "--file", source, "--jobs", 2).code == 0
    for name in ("0001.wav", "0002.wav", "0003.wav"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_formats_rates_and_loudness(run: Path, tmp_path: Path) -> None:
    assert speak(run, tmp_path / "a.opus", "ሰላም።").code == 0
    assert speak(run, tmp_path / "a.wav", "ሰላም።", "--sample-rate", 8000, "--encoding", "mulaw").code == 0
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.samplerate, info.subtype) == (8000, "ULAW")
    speak(run, tmp_path / "x.wav", "ሰላም።", "--sample-rate", 5).refused("sample rate 5 Hz is out of range")
    speak(run, tmp_path / "x", "ሰላም።", "--format", "oups").refused("did you mean 'opus'")
    speak(run, tmp_path / "x.wav", "ሰላም።", "--sentence-pause", -1).refused("sentence pause -1 s")
    assert not (tmp_path / "x.wav").exists()
