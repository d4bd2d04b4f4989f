"""Hugging Face layouts: audiofolders, and parquet files, honest and hostile."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from prepared import rows, run
from recordings import SENTENCES, speech
from sources import clips, entries, make_files, rules

from amtts_core.corpus.importers import Clip, Fault, choose_importer, columnar, hf_parquet, parquet_reader
from amtts_core.errors import AmttsError


def wav_bytes(seed: int) -> bytes:
    handle = io.BytesIO()
    soundfile.write(handle, speech(seed, seconds=1.0), 16000, format="WAV")
    return handle.getvalue()


def parquet(path: Path, columns: dict[str, Any], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **more)
    return path


def test_an_audiofolder_is_real_csv(tmp_path: Path):
    table = (
        'file_name,transcription,speaker_id\na.wav,"ሰላም, ""ለሁሉም""",s1\nsub/b.wav,ደህና,s2\ngone.wav,ቡና,s\nx\n'
    )
    source = make_files(
        tmp_path,
        {"train/metadata.csv": table, "train/a.wav": "x", "train/sub/b.wav": "x"}
        | {"test/metadata.jsonl": '{"file_name": "c.wav", "text": "ሻይ"}\n', "test/c.wav": "x"},
    )
    assert choose_importer(source).name == "hf"
    assert [(c.source, c.text, c.speaker) for c in clips(source)] == [
        ("test/c.wav", "ሻይ", ""),
        ("train/a.wav", 'ሰላም, "ለሁሉም"', "s1"),
        ("train/sub/b.wav", "ደህና", "s2"),
    ]
    assert [e.finding.rule for e in entries(source) if isinstance(e, Fault)] == [
        "missing-file",
        "malformed-line",
    ]


def test_lines_that_are_no_csv_cost_no_other_lines(tmp_path: Path):
    table = "file_name,text\na.wav,ሰላም\nb.wav,ደህ\rና\nc.wav,ቡና\n"
    source = make_files(tmp_path, {"metadata.csv": table, "a.wav": "x", "b.wav": "x", "c.wav": "x"})
    assert [clip.source for clip in clips(source, "hf")] == ["a.wav", "c.wav"]
    assert list(rules(source, "hf").values()) == ["malformed-line"]
    (tmp_path / "metadata.csv").write_text("file_na\rme,text\na.wav,ሰላም\n", encoding="utf-8")
    assert [clip.source for clip in clips(source)] == ["a.wav"]
    assert list(rules(source).values()) == ["malformed-line"]


def test_parquet_with_bytes_becomes_a_corpus(tmp_path: Path):
    audio = [{"bytes": wav_bytes(n), "path": f"clip{n}.wav" if n % 2 else None} for n in range(6)]
    columns = {"audio": audio, "transcription": list(SENTENCES[:6]), "speaker_id": [n % 2 for n in range(6)]}
    parquet(tmp_path / "in/data/train-00000.parquet", columns, row_group_size=2)
    assert choose_importer(tmp_path / "in").name == "hf"
    report = run(tmp_path / "in", tmp_path / "out")
    assert (report.total, report.kept) == (6, 6)
    made = rows(tmp_path / "out/manifest.jsonl")
    assert [row["text"] for row in made] == list(SENTENCES[:6])
    assert [row["id"] for row in made[:2]] == ["train-00000-000001", "clip1"]
    assert made[1]["speaker"] == "1"
    assert run(tmp_path / "in", tmp_path / "out").reused == 6
    (tmp_path / "out/audio/clip1.flac").unlink()
    assert run(tmp_path / "in", tmp_path / "out").reused == 5


def test_parquet_with_paths_and_faults(tmp_path: Path):
    columns = {
        "audio": [
            {"bytes": None, "path": "a.wav"},
            {"bytes": None, "path": None},
            {"bytes": b"", "path": "e.wav"},
            {"bytes": None, "path": "../x.wav"},
            None,
        ],
        "sentence": ["ሰላም", "ደህና", "ቡና", "ሻይ", "ውሃ"],
    }
    parquet(tmp_path / "p.parquet", columns)
    make_files(tmp_path, {"a.wav": "x"})
    assert [c.source for c in clips(tmp_path / "p.parquet")] == ["a.wav"]
    assert rules(tmp_path) == {
        "ደህና": "missing-file",
        "ቡና": "unreadable",
        "ሻይ": "outside-folder",
        "ውሃ": "missing-file",
    }
    parquet(tmp_path / "p.parquet", {"path": ["a.wav"], "text": ["ሰላም"]})
    assert [c.source for c in clips(tmp_path)] == ["a.wav"]
    parquet(tmp_path / "p.parquet", {"audio": [b"RIFF"], "text": ["ሰላም"]})
    assert clips(tmp_path)[0].data == b"RIFF"


def test_a_bomb_is_a_ledger_row_and_costs_no_memory(tmp_path: Path):
    code = """
import resource, sys
from pathlib import Path
sys.path.insert(0, "tests/support")
import pyarrow, pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from amtts_core.corpus.importers import choose_importer
for entry in choose_importer(Path(sys.argv[1])).read(Path(sys.argv[1])).entries:
    print(entry.finding.rule if hasattr(entry, "finding") else "clip")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    zeros = pyarrow.array([bytes(40 << 20)] * 4)
    # one value of 18 MiB, repeated by a dictionary; and the same without one
    folder = tmp_path / "in"
    text = ["ሰላም"] * 4
    parquet(
        folder / "plain.parquet", {"audio": zeros, "text": text}, use_dictionary=False, compression="zstd"
    )
    value = pyarrow.DictionaryArray.from_arrays([0] * 12, pyarrow.array([bytes(18 << 20)]))
    many = {"audio": value, "text": ["ሰላም"] * 12}
    parquet(folder / "repeated.parquet", many, compression="none", store_schema=False)
    parquet(folder / "typed.parquet", {"audio": value[:2], "text": text[:2]}, compression="none")
    del zeros, many, value
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *found, megabytes = done.stdout.split()
    assert found == ["too-large", *["clip"] * 14]
    assert int(megabytes) < 170


def test_an_audio_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(columnar, "LARGEST_AUDIO", 100)
    parquet(tmp_path / "p.parquet", {"audio": [b"x" * 101, b"x" * 100], "text": ["ሰላም", "ደህና"]})
    refused, kept = parquet_reader.read_parquet(tmp_path, "p.parquet")
    assert isinstance(refused, Fault)
    assert refused.finding.rule == "too-large"
    assert isinstance(kept, Clip)


def test_damaged_and_foreign_parquet(tmp_path: Path):
    audio = [random.Random(n).randbytes(500) for n in range(50)]
    good = parquet(tmp_path / "b.parquet", {"audio": audio, "text": ["ሰላም"] * 50})
    make_files(tmp_path, {"a.parquet": "no parquet", "c.parquet": good.read_bytes()[:4000]})
    found = entries(tmp_path)
    assert [e.finding.rule for e in found if isinstance(e, Fault)] == ["unreadable", "unreadable"]
    assert len(found) == 52
    with pytest.raises(AmttsError, match="no text column"):
        entries(parquet(tmp_path / "x/d.parquet", {"audio": [b"x"], "label": ["y"]}))


def test_a_file_that_ends_the_reader_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = """
import json, os, pickle, sys
from pathlib import Path
from amtts_core.corpus.importers import parquet_reader
def read(folder, name, *args, own=parquet_reader.read_parquet, **more):
    for entry in own(folder, name, *args, **more):
        yield entry
        if name == "b.parquet":
            sys.stdout.flush()
            os.abort()
parquet_reader.read_parquet = read
parquet_reader.main(sys.argv[1], json.load(sys.stdin))
"""
    monkeypatch.setattr(hf_parquet, "_CHILD", code)
    for name in "abc":
        parquet(tmp_path / f"{name}.parquet", {"audio": [b"x", b"y"], "text": [f"ሰላም {name}", "ደህና"]})
    found = entries(tmp_path)
    assert [e.finding.rule if isinstance(e, Fault) else "clip" for e in found][:2] == ["clip", "clip"]
    assert [e.where for e in found if isinstance(e, Fault)] == ["b.parquet"]
    assert [e.text for e in found[-2:]] == ["ሰላም c", "ደህና"]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parquet(tmp_path / "p.parquet", {"audio": [b"x"], "text": ["ሰላም"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(AmttsError, match=r"pip install 'amtts\[parquet\]'"):
        entries(tmp_path)
