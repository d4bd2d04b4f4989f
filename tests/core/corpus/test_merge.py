"""Corpora are joined: ids, speakers, rates and licenses; nothing is lost and no source is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from prepared import contents, rows, run
from recordings import SENTENCES, make_corpus, speech, write_wav

from amtts_core.corpus.corpus import corpus_normalizer
from amtts_core.corpus.merge import MergeReport, MergeSettings, merge_corpora
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import write_jsonl


def corpus(tmp_path: Path, name: str, seeds: range, *, speaker: str = "", **more: Any) -> Path:
    source = tmp_path / f"{name}-source"
    lines = ["audio_file|text|speaker_name"]
    for number, seed in enumerate(seeds):
        write_wav(source / f"clip{number}.wav", speech(seed, seconds=1.0))
        lines.append(f"clip{number}.wav|{SENTENCES[seed % 12]}|{speaker}")
    (source / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    run(source, tmp_path / name, PrepareSettings(max_rejected=1.0, **more))
    return tmp_path / name


def merged(tmp_path: Path, *folders: Path, **more: Any) -> MergeReport:
    return merge_corpora(folders, tmp_path / "out", MergeSettings(**more))


def test_two_corpora_become_one(tmp_path: Path):
    a = corpus(tmp_path, "a", range(4), speaker="አበበ")
    b = corpus(tmp_path, "b", range(4, 8), speaker="አበበ")
    (a / "LICENSE").write_text("CC BY 4.0\n")
    before = contents(a), contents(b)
    report = merged(tmp_path, a, b)
    assert (contents(a), contents(b)) == before
    assert (report.total, report.kept, report.dropped) == (8, 8, 0)
    made = rows(tmp_path / "out/manifest.jsonl")
    assert len({row["id"] for row in made}) == 8
    assert made[0]["id"] == "clip0"
    assert {row["speaker"] for row in made} == {"a-አበበ", "b-አበበ"}
    assert report.renamed_speakers == {"a/አበበ": "a-አበበ", "b/አበበ": "b-አበበ"}
    assert report.licenses == {"a": ["CC BY 4.0"], "b": []}
    assert made[0]["license"] == "CC BY 4.0"
    assert "no license is stated by: b" in report.warnings
    for row in made:
        path = tmp_path / "out" / row["audio_filepath"]
        assert path.stat().st_nlink == 2
        assert soundfile.info(path).duration == pytest.approx(row["duration"], abs=1e-3)
    parts = [rows(tmp_path / f"out/{side}.jsonl") for side in ("train", "val", "test")]
    assert sum(map(len, parts)) == 8
    assert corpus_normalizer(tmp_path / "out").settings == corpus_normalizer(a).settings
    assert json.loads((tmp_path / "out/prepare.json").read_text(encoding="utf-8"))["state"] == "complete"
    first = contents(tmp_path / "out")
    merged(tmp_path, a, b)
    assert contents(tmp_path / "out") == first


def test_speakers_without_a_name_and_the_same_person(tmp_path: Path):
    a, b = corpus(tmp_path, "a", range(2)), corpus(tmp_path, "b", range(2, 4), speaker="ለማ")
    merged(tmp_path, a, b)
    assert {row["speaker"] for row in rows(tmp_path / "out/manifest.jsonl")} == {"a", "ለማ"}
    c = corpus(tmp_path, "c", range(4, 6), speaker="ለማ")
    report = merge_corpora((b, c), tmp_path / "same", MergeSettings(same_speakers=True, copy=True))
    assert report.speakers == 1
    assert not report.renamed_speakers
    assert (tmp_path / "same/audio/clip0.flac").stat().st_nlink == 1


def test_sample_rates(tmp_path: Path):
    a = corpus(tmp_path, "a", range(2), sample_rate=16000)
    b = corpus(tmp_path, "b", range(2, 4), sample_rate=22050)
    with pytest.raises(AmttsError, match=r"a 16000 Hz; b 22050 Hz.*--sample-rate 16000"):
        merged(tmp_path, a, b)
    assert not (tmp_path / "out").exists()
    report = merged(tmp_path, a, b, sample_rate=16000)
    assert report.resampled == 2
    for row in rows(tmp_path / "out/manifest.jsonl"):
        about = soundfile.info(tmp_path / "out" / row["audio_filepath"])
        assert about.samplerate == row["sample_rate"] == 16000
        assert about.duration == pytest.approx(row["duration"], abs=1e-3)


def test_normalisers_that_differ(tmp_path: Path):
    a = corpus(tmp_path, "a", range(9, 10))
    b = corpus(tmp_path, "b", range(2, 3), normalizer={"fold_homophones": False})
    with pytest.raises(AmttsError, match="fold_homophones is True in a and False in b"):
        merged(tmp_path, a, b)
    merged(tmp_path, a, b, renormalize=True)
    made = rows(tmp_path / "out/manifest.jsonl")
    assert [row["normalized_text"] for row in made] == [corpus_normalizer(a)(row["text"]) for row in made]


def test_every_row_is_kept_or_in_the_ledger(tmp_path: Path):
    a = corpus(tmp_path, "a", range(4))
    write_wav(tmp_path / "secret.wav", speech(50))
    bad = tmp_path / "bad"
    write_wav(bad / "long.wav", speech(20, seconds=5), rate=22050)
    write_wav(bad / "x.wav", speech(21, seconds=1), rate=22050)
    (bad / "text.wav").write_text("ሰላም")

    def row(name: str, **more: Any) -> dict[str, Any]:
        return {
            "id": name,
            "audio_filepath": name,
            "duration": 1.0,
            "text": f"ጽሑፍ {name}",
            "sample_rate": 22050,
        } | more

    copied = rows(a / "manifest.jsonl")[0]["audio_filepath"]
    (bad / "copy.flac").write_bytes((a / copied).read_bytes())
    table = [
        row("x.wav"),
        row("long.wav", id="one", offset=0.5),
        row("long.wav", id="two", offset=2.0),
        row("long.wav", id="whole", duration=3.6),
        row("copy.flac", duration=soundfile.info(a / copied).duration),
        row("text.wav"),
        row("gone.wav"),
        row("../secret.wav"),
        row("x.wav", duration="long"),
    ]
    write_jsonl(bad / "manifest.jsonl", table)
    with (bad / "manifest.jsonl").open("a") as handle:
        handle.write("no json\n")
    report = merged(tmp_path, a, bad, max_rejected=0.9)
    assert (report.total, report.kept) == (14, 8)
    assert report.reasons == {
        "malformed-line": 2,
        "duplicate-audio": 1,
        "unreadable": 1,
        "missing-file": 1,
        "outside-folder": 1,
    }
    made = {row["id"]: row for row in rows(tmp_path / "out/manifest.jsonl")}
    assert soundfile.info(tmp_path / "out" / made["two"]["audio_filepath"]).duration == pytest.approx(1.0)
    assert made["two"]["offset"] == 0
    assert made["one"]["normalized_text"]
    with pytest.raises(AmttsError, match="6 of 14 utterances rejected"):
        merged(tmp_path, a, bad)
    assert len(rows(tmp_path / "out/rejected.jsonl")) == 6


def test_folders_that_cannot_be_used(tmp_path: Path):
    a, b = corpus(tmp_path, "a", range(2)), corpus(tmp_path, "b", range(2, 4))
    for folders, out, said in (
        ((a,), "out", "two corpora or more"),
        ((a, a), "out", "stands twice"),
        ((a, tmp_path), "out", r"holds no manifest\.jsonl"),
        ((a, b), "a", "lies in it or holds it"),
        ((a, b), "a/out", "lies in it or holds it"),
        ((a, b), ".", "lies in it or holds it"),
        ((a, b), "a-source", "lies in it|not empty"),
        ((a, b), "a-source/metadata.csv", "is a file"),
    ):
        before = contents(tmp_path)
        with pytest.raises(AmttsError, match=said):
            merge_corpora(folders, tmp_path / out, MergeSettings())
        assert contents(tmp_path) == before
    make_corpus(tmp_path / "elsewhere")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/audio").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AmttsError, match="not empty|symbolic link"):
        merge_corpora((a, b), tmp_path / "linked", MergeSettings())
