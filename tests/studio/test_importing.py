"""The Import tab: uploads are taken or refused in one line, columns are corrected, a dataset is made as a job."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest
from open_studio import open_studio, studio_of, two_texts
from recordings import make_corpus, speech, write_wav

from amtts_cli.studio.importing import (
    Undecided,
    chosen_columns,
    look,
    prepare_command,
    read_ledger,
    take_uploads,
)
from amtts_cli.studio.sounds import clip_list
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs.importing import ledger_html, summary, table_html
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError

LARGEST = 1 << 20


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return studio_of(tmp_path / "studio", largest_upload=LARGEST)


def uploaded(studio: Studio, name: str, content: bytes = b"a|b\n") -> str:
    """A file as a browser's upload leaves it."""
    path = studio.workspace.files / "0123abcd" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@cache
def a_bomb() -> bytes:
    return zipped(**{"a.wav": bytes(80 << 20)})


def test_uploads_are_kept_together(studio: Studio) -> None:
    wav = write_wav(studio.workspace.files / "up/talk.wav", speech(1))
    name = take_uploads(
        studio.workspace, [str(wav), uploaded(studio, "talk.srt", "ሰላም".encode())], largest=LARGEST
    )
    folder = studio.workspace.root / name
    assert sorted(path.name for path in folder.iterdir()) == ["talk.srt", "talk.wav"]
    assert (folder / "talk.srt").read_text(encoding="utf-8") == "ሰላም"
    assert take_uploads(studio.workspace, [str(wav)], largest=LARGEST) != name


def hostile(studio: Studio, tmp_path: Path) -> dict[str, tuple[list[str], str]]:
    outside = tmp_path / "secret.csv"
    outside.write_text("a|b")
    link = studio.workspace.files / "link.csv"
    link.symlink_to(outside)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        info = tarfile.TarInfo("/etc/x.wav")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    bomb = a_bomb()
    return {
        "outside": ([str(outside)], "is no upload of this studio"),
        "a link": ([str(link)], "is no upload of this studio"),
        "gone": ([str(studio.workspace.files / "none.csv")], "was not uploaded"),
        "a path": ([f"{studio.workspace.files}/../../../secret.csv"], "is no upload of this studio"),
        "dots": ([str(studio.workspace.files / "../../x")], "'x' was not uploaded"),
        "hidden": ([uploaded(studio, ".bashrc.txt")], "is no name that is kept"),
        "an option": ([uploaded(studio, "-rf.csv")], "is no name that is kept"),
        "a line end": ([uploaded(studio, "a\nb.csv")], "is no name that is kept"),
        "a program": ([uploaded(studio, "run.exe")], "is of no kind that is imported (.exe)"),
        "a page": ([uploaded(studio, "page.html")], "is of no kind that is imported (.html)"),
        "empty": ([uploaded(studio, "empty.csv", b"")], "is empty"),
        "large": ([uploaded(studio, "large.wav", bytes(LARGEST + 1))], "at most 1 MiB are taken"),
        "leads out": (
            [uploaded(studio, "out.zip", zipped(**{"../../x.wav": b"abc"}))],
            "leads out of its folder",
        ),
        "absolute": ([uploaded(studio, "out.tar.gz", tar.getvalue())], "leads out of its folder"),
        "a bomb": ([uploaded(studio, "bomb.zip", bomb)], "which is no archive of sound"),
        "nothing": ([], "nothing was uploaded"),
        "many": ([uploaded(studio, "a.csv")] * 2001, "at most 2000 are taken"),
        "twice": ([uploaded(studio, "a.csv"), uploaded(studio, "A.csv")], "two files are named"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *(
            "outside",
            "a link",
            "gone",
            "a path",
            "dots",
            "hidden",
            "an option",
            "a line end",
            "a program",
            "a page",
        ),
        *("empty", "large", "leads out", "absolute", "a bomb", "nothing", "many", "twice"),
    ],
)
def test_hostile_uploads_are_refused_in_one_line(studio: Studio, tmp_path: Path, name: str) -> None:
    files, said = hostile(studio, tmp_path)[name]
    with pytest.raises(AmttsError) as refusal:
        take_uploads(studio.workspace, files, largest=LARGEST)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not any((studio.workspace.root / "uploads").glob("*")), "all of it or nothing"


@pytest.mark.parametrize("source", ["../..", "/etc", "none", ".studio/files", "", "a\0b"])
def test_sources_lie_in_the_workspace(studio: Studio, source: str) -> None:
    with pytest.raises(AmttsError):
        look(studio.workspace, source)
    with pytest.raises(AmttsError):
        prepare_command(studio.workspace, source, "data")


def test_how_a_source_is_read_is_shown(studio: Studio) -> None:
    make_corpus(studio.workspace.root / "in", 12)
    found = look(studio.workspace, "in")
    assert not isinstance(found, Undecided)
    page = summary(studio, found)
    assert "12 clips, 0.3 minutes" in page
    assert "1 audio, 2 text" in page
    assert "1 · Recording" in table_html(studio, found.rows, found.columns)
    clips = clip_list(studio.workspace, found.first)
    assert clips.count("<audio") == 10
    sounds = list((studio.workspace.files / "clips").iterdir())
    assert len(sounds) == 10
    assert all(str(sound) in clips for sound in sounds)


def test_texts_of_a_source_are_no_markup(studio: Studio) -> None:
    source = make_corpus(studio.workspace.root / "in", 2)
    table = source / "metadata.csv"
    evil = "<img src=x onerror=alert(1)>"
    table.write_text(table.read_text(encoding="utf-8").replace("ሰላም", evil), encoding="utf-8")
    found = look(studio.workspace, "in")
    assert not isinstance(found, Undecided)
    shown = summary(studio, found) + table_html(studio, found.rows, found.columns)
    shown += clip_list(studio.workspace, found.first)
    assert "<img" not in shown
    assert "&lt;img" in shown


def test_columns_that_cannot_be_told_apart_are_shown_and_corrected(studio: Studio) -> None:
    two_texts(studio.workspace.root / "in")
    found = look(studio.workspace, "in")
    assert isinstance(found, Undecided)
    assert "which one is spoken cannot be told" in found.problem
    assert str(studio.workspace.root) not in found.problem
    assert "3 ·" in table_html(studio, found.rows, None)
    columns = chosen_columns({"audio": 1, "text": 3, "speaker": None}, None)
    assert columns == "audio=1,text=3"
    corrected = look(studio.workspace, "in", columns=columns)
    assert not isinstance(corrected, Undecided)
    assert corrected.first[0].text == "ሌላ ጽሑፍ 0 ነው"
    assert chosen_columns({"audio": 1, "text": 3}, corrected.columns) == "", "as it was found: nothing to say"
    assert chosen_columns({"audio": 1, "text": 2}, corrected.columns) == "audio=1,text=2"


def test_values_of_a_form_are_no_options(studio: Studio) -> None:
    make_corpus(studio.workspace.root / "in", 1)
    words = prepare_command(
        studio.workspace, "in", "data", speaker="--force", license="-x", consent_note="a\nb"
    )
    assert words == [
        *("prepare", "in", "--out", "data", "--speaker=--force", "--license=-x", "--consent-note=a b"),
    ]
    (studio.workspace.root / "mine").mkdir()
    (studio.workspace.root / "mine/notes").write_text("mine")
    with pytest.raises(AmttsError, match="is no dataset"):
        prepare_command(studio.workspace, "in", "mine")
    for name in ("../out", "-out", ".hidden", "", "/tmp/x"):
        with pytest.raises(AmttsError):
            prepare_command(studio.workspace, "in", name)


@pytest.mark.slow
def test_an_upload_with_a_corrected_column_becomes_a_dataset(tmp_path: Path) -> None:
    """Through the studio's own routes: upload, see, correct, prepare as a job, read the ledger."""
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    source = two_texts(tmp_path / "in", 8)
    with (source / "metadata.csv").open("a", encoding="utf-8") as table:
        table.write("wavs/none.wav|አንድ|ሁለት\n")
    archive = tmp_path / "recordings.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(source.rglob("*")):
            out.write(path, path.relative_to(source))
    with open_studio(tmp_path / "studio") as served:
        client = Client(f"{served.url}/en/", verbose=False, download_files=str(tmp_path / "down"))
        taken = client.predict([handle_file(str(archive))], api_name="/import_take")
        name = taken[0] if isinstance(taken, list | tuple) else taken
        assert (served.studio.workspace.root / name / "recordings.zip").is_file()
        problem, _ = client.predict(name, "", "", "am", api_name="/import_look")
        assert "which one is spoken cannot be told" in problem
        told, texts = client.predict(name, "audio=1,text=3", "", "am", api_name="/import_look")
        assert "8 clips" in told
        assert texts.splitlines()[0] == "ሌላ ጽሑፍ 0 ነው"
        form = (name, "data", "audio=1,text=3", "አበበ", "am", "CC0-1.0", "said yes", False)
        id = client.predict(*form, api_name="/import_prepare")
        job = served.studio.jobs.wait(id, timeout=120)
        assert job.state == "done", served.studio.jobs.tail(id)
        with pytest.raises(AppError, match="leaves the workspace"):
            client.predict("../..", "", "", "am", api_name="/import_look")
        corpus = served.studio.workspace.root / "data"
        rows = list(read_manifest(corpus / "manifest.jsonl"))
        assert {row.text for row in rows} == {f"ሌላ ጽሑፍ {n} ነው" for n in range(8)}
        assert {row.speaker for row in rows} == {"አበበ"}
        counts, left = read_ledger(corpus)
        assert counts == {"missing-file": 1}
        assert "none.wav" in ledger_html(served.studio, "data")
        assert left[0]["text"] == "ሁለት"


def test_a_file_named_after_a_path_stays_in_the_studios_folder(tmp_path: Path) -> None:
    import httpx

    with open_studio(tmp_path / "studio", largest_upload=LARGEST) as served:
        url = f"{served.url}/en/gradio_api/upload"
        answer = httpx.post(url, files={"files": ("../../x.csv", b"a|b")})
        if answer.status_code == 200:
            path = Path(answer.json()[0]).resolve()
            assert path.is_relative_to(served.studio.workspace.files)
        assert not [
            path
            for path in tmp_path.rglob("x*.csv")
            if not path.is_relative_to(served.studio.workspace.files)
        ]
        large = httpx.post(url, files={"files": ("large.wav", os.urandom(3 * LARGEST))})
        assert large.status_code == 413
        assert large.text.count("\n") == 1
