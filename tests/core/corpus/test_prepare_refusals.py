"""What `prepare` rejects, clip by clip, and what it refuses to begin."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from prepared import add_hostile, contents, rejected, rows, run
from recordings import add_line, make_corpus, speech, write_wav

from amtts_core.corpus.prepare import PrepareProgress
from amtts_core.corpus.settings import PrepareSettings, resolve_settings
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import write_jsonl


@pytest.mark.parametrize("jobs", [1, 2])
def test_everything_that_can_be_wrong_is_a_ledger_row(tmp_path: Path, jobs: int):
    source, out = make_corpus(tmp_path / "in", 4), tmp_path / "out"
    expected = add_hostile(source)
    add_line(source, "no columns here")
    many = np.stack([speech(200)] * 8, axis=1)
    write_wav(source / "eight.wav", many)
    add_line(source, "eight.wav|ስምንት ቻናል አለው።")
    report = run(source, out, jobs=jobs)
    assert rejected(out) == expected | {"": "malformed-line"}
    assert report.total == 4 + len(expected) + 2
    assert report.kept == 5
    assert report.aside == {"empty-text": 1}  # nobody wrote what is said: nothing was judged
    assert report.total == report.kept + report.dropped + report.set_aside
    assert sum(report.reasons.values()) == report.dropped
    assert list(report.reasons.values()) == sorted(report.reasons.values(), reverse=True)
    ledger = rows(out / "rejected.jsonl")
    assert all(row["reason"] and row["where"].startswith("metadata.csv:") for row in ledger)
    by_rule = {row["rule"]: row for row in ledger}
    assert by_rule["too-short"]["threshold"] == 0.3
    assert by_rule["too-short"]["value"] < 0.3
    assert by_rule["duplicate-audio"]["value"] == "clip00"
    audio = {path.name for path in (out / "audio").iterdir()}
    assert audio == {f"{row['id']}.flac" for row in rows(out / "manifest.jsonl")}


def test_too_many_rejected_fails_after_the_ledger(tmp_path: Path):
    source, out = make_corpus(tmp_path / "in", 4), tmp_path / "out"
    run(source, out, PrepareSettings())
    before = contents(out)
    for number in range(6):
        add_line(source, f"none{number}.wav|ጽሑፍ {number}")
    with pytest.raises(AmttsError) as caught:
        run(source, out, PrepareSettings())
    assert "6 of 10 clips rejected" in caught.value.message
    assert "6 missing-file" in caught.value.message
    assert "--max-rejected 0.6" in caught.value.remedy
    assert len(rejected(out)) == 6
    after = contents(out)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"rejected.jsonl", "prepare.json"}
    assert run(source, out, PrepareSettings(max_rejected=0.6)).kept == 4


def test_nothing_left_is_an_error_whatever_is_allowed(tmp_path: Path):
    source = make_corpus(tmp_path / "in", 2)
    shutil.rmtree(source / "wavs")
    with pytest.raises(AmttsError, match="2 of 2 clips rejected, none is left: 2 missing-file"):
        run(source, tmp_path / "out")


def test_recordings_behind_a_linked_folder_are_refused_with_the_option_that_reads_them(tmp_path: Path):
    source = make_corpus(tmp_path / "near" / "in", 2)
    (source / "wavs").rename(tmp_path / "elsewhere")
    (source / "wavs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AmttsError) as caught:
        run(source, tmp_path / "out")
    assert f"its folder wavs is a link to {tmp_path / 'elsewhere'}" in caught.value.message
    assert f"--audio-root {tmp_path / 'elsewhere'}" in caught.value.message
    assert run(source, tmp_path / "out", audio_root=tmp_path / "elsewhere").kept == 2


def test_an_empty_table_is_an_error(tmp_path: Path):
    source = make_corpus(tmp_path / "in", 0)
    with pytest.raises(AmttsError, match="holds no clip"):
        run(source, tmp_path / "out")


def test_output_folders_that_are_refused(tmp_path: Path):
    source = make_corpus(tmp_path / "in", 3)
    before = contents(source)
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("x")
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake/prepare.json").write_text("[]")
    (tmp_path / "link").symlink_to(source)
    for out, said in [
        (tmp_path / "file", "is a file"),
        (tmp_path / "full", "not made by"),
        (tmp_path / "fake", "not made by"),
        (source, "folder of the source"),
        (tmp_path / "link", "folder of the source"),
        (tmp_path, "holds it"),
        (source / "wavs", "not made by"),
        (source / "wavs/new", "among the source's own audio"),
        (tmp_path / "file/under", "cannot write"),
    ]:
        with pytest.raises(AmttsError, match=said):
            run(source, out)
    assert contents(source) == before
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["mine.txt"]
    assert run(source, source / "prepared").kept == 3


def test_a_manifest_in_a_folder_beside_its_recording_goes_into_a_third_folder(tmp_path: Path):
    source = make_corpus(tmp_path / "in", 3)
    shutil.move(source / "wavs", tmp_path / "wavs")
    rows = [
        {"audio_filepath": str(audio), "text": "ሰላም ለዓለም"} for audio in sorted((tmp_path / "wavs").iterdir())
    ]
    (tmp_path / "aligned").mkdir()
    write_jsonl(tmp_path / "aligned/manifest.jsonl", rows)
    done = run(tmp_path / "aligned/manifest.jsonl", tmp_path / "data")
    assert done.total == 3


def test_changed_settings_are_named(tmp_path: Path):
    source, out = make_corpus(tmp_path / "in", 3), tmp_path / "out"
    run(source, out)
    before = contents(out)
    changed = resolve_settings({"sample_rate": 24000, "max_rejected": 0.5, "normalizer": {"numbers": False}})
    with pytest.raises(AmttsError) as caught:
        run(source, out, changed)
    assert "sample_rate is 22050 there and 24000 here" in caught.value.message
    assert "normalizer.numbers is true there and false here" in caught.value.message
    assert "max_rejected" not in caught.value.message
    assert "--force" in caught.value.remedy
    assert contents(out) == before
    with pytest.raises(AmttsError, match="source is"):
        run(make_corpus(tmp_path / "other", 2), out)
    assert run(source, out, changed, force=True).reused == 0
    assert rows(out / "manifest.jsonl")[0]["sample_rate"] == 24000
    assert run(source, out, changed).reused == 3


def test_one_run_at_a_time(tmp_path: Path):
    source, out = make_corpus(tmp_path / "in", 3), tmp_path / "out"

    def second(progress: PrepareProgress) -> None:
        with pytest.raises(AmttsError, match="another `amtts prepare`"):
            run(source, out)

    assert run(source, out, on_progress=second).kept == 3


def test_a_damaged_journal_is_one_line(tmp_path: Path):
    source, out = make_corpus(tmp_path / "in", 3), tmp_path / "out"
    run(source, out)
    (out / "journal.sqlite").write_bytes(b"rubbish " * 1000)
    with pytest.raises(AmttsError, match="is damaged"):
        run(source, out)
    (out / "journal.sqlite").unlink()
    assert run(source, out).kept == 3
