"""Archives are unpacked for the time of a run, inside of the output folder; bombs and strange paths write nothing."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from command_line import call
from prepared import rows, run
from recordings import make_corpus

from amtts_core.corpus.importers import archive
from amtts_core.corpus.unpacked import MARK
from amtts_core.errors import AmttsError


def packed(tmp_path: Path, kind: str) -> Path:
    source = make_corpus(tmp_path / "corpus", 4)
    path = tmp_path / f"corpus.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as out:
            for file in sorted(source.rglob("*")):
                out.write(file, file.relative_to(tmp_path))
            out.writestr("__MACOSX/corpus/._metadata.csv", "x")
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as out_tar:
            out_tar.add(source, "corpus")
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_is_a_source(tmp_path: Path, kind: str):
    path, out = packed(tmp_path, kind), tmp_path / "out"
    report = run(path, out)
    assert (report.kept, report.dropped) == (4, 0)
    assert rows(out / "manifest.jsonl")[0]["source"] == "wavs/clip00.wav"
    assert not (out / "unpacked").exists()
    again = run(path, out)
    assert (again.kept, again.reused) == (4, 4)
    (tmp_path / "folder").mkdir()
    os.link(path, tmp_path / "folder" / path.name)
    assert run(tmp_path / "folder", tmp_path / "other").kept == 4


def test_an_archive_that_cannot_be_used_leaves_nothing(tmp_path: Path):
    path = packed(tmp_path, "zip")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(AmttsError, match="damaged zip archive"):
        run(path, tmp_path / "out")
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("notes.bin", b"\x80\x81")
    done = call("prepare", path, "--out", tmp_path / "out")
    done.refused("holds no metadata.csv")
    assert not (tmp_path / "out").exists()


def test_bombs_and_paths_that_lead_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("zeros.wav", bytes(80 << 20))
    with pytest.raises(AmttsError, match="no archive of sound"):
        run(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(archive, "LARGEST", 100)
    with pytest.raises(AmttsError, match="would unpack"):
        archive.unpack(packed(tmp_path, "tar"), tmp_path / "to", mark=MARK)
    monkeypatch.undo()
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as out_tar:
        for name in ("../out.wav", "/abs.wav", "good/a.wav", "good/../../b.wav"):
            info = tarfile.TarInfo(name)
            info.size = 1
            out_tar.addfile(info, io.BytesIO(b"x"))
        link = tarfile.TarInfo("good/link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out_tar.addfile(link)
    archive.unpack(evil, tmp_path / "to", mark=MARK)
    files = sorted(str(p.relative_to(tmp_path / "to")) for p in (tmp_path / "to").rglob("*") if p.is_file())
    assert files == [MARK, "abs.wav", "good/a.wav"]


def test_shards_want_it_unpacked(tmp_path: Path):
    done = call("prepare", packed(tmp_path, "zip"), "--out", tmp_path / "out", "--num-shards", 2)
    done.refused("is an archive", "Unpack it first")


@pytest.mark.parametrize("name", ["metadata.csv", "list.jsonl"])
def test_recordings_in_an_archive_beside_their_list(tmp_path: Path, name: str):
    made = make_corpus(tmp_path / "made", 3)
    source = tmp_path / "in"
    source.mkdir()
    with zipfile.ZipFile(source / "wavs.zip", "w") as archive:
        for path in sorted((made / "wavs").iterdir()):
            archive.write(path, f"wavs/{path.name}")
    table = (made / "metadata.csv").read_text(encoding="utf-8").splitlines()
    if name == "list.jsonl":
        pairs = [line.split("|") for line in table[1:]]
        table = [json.dumps({"audio": audio, "text": text}) for audio, text in pairs]
    (source / name).write_text("\n".join(table), encoding="utf-8")
    report = run(source, tmp_path / "out")
    assert (report.kept, report.dropped) == (3, 0)
    assert not (tmp_path / "out/unpacked").exists()
    assert run(source, tmp_path / "out").reused == 3
