"""License and consent are stated once and travel: corpus, speakers' table, merge, checkpoint's facts, model card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from prepared import rows, run
from recordings import SENTENCES, make_corpus, speech, write_wav
from sources import make_files

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.corpus.corpus import DataProvenance, corpus_provenance
from amtts_core.corpus.merge import MergeSettings, merge_corpora
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.speaker_facts import read_speakers
from amtts_core.errors import AmttsError
from amtts_core.synthesis.model_card import write_card

STATED = PrepareSettings(license="CC-BY-4.0", consent_note="signed forms, 2026")


def table(path: Path) -> dict[str, dict[str, str]]:
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    cells = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    return {row.pop("speaker"): row for row in cells}


def two_people(folder: Path, extra: str = "") -> Path:
    lines = ["file|text|speaker|license"]
    for n in range(6):
        write_wav(folder / f"{n}.wav", speech(n, seconds=1.0))
        lines.append(f"{n}.wav|{SENTENCES[n]}|{('አበበ', 'አልማዝ')[n % 2]}|{'CC0-1.0' if n == 5 else ''}")
    return make_files(folder, {"metadata.csv": "\n".join(lines)} | ({"speakers.tsv": extra} if extra else {}))


def reminders(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if "--consent-note" in warning]


def test_what_is_stated_at_prepare_is_in_the_corpus(tmp_path: Path):
    source = two_people(tmp_path / "in")
    report = run(source, tmp_path / "out", STATED)
    assert not reminders(report.warnings)
    assert [row["license"] for row in rows(tmp_path / "out/manifest.jsonl")] == ["CC-BY-4.0"] * 5 + [
        "CC0-1.0"
    ]
    people = table(tmp_path / "out/speakers.tsv")
    assert people["አበበ"] == {
        "utterances": "3",
        "seconds": people["አበበ"]["seconds"],
        "license": "CC-BY-4.0",
        "consent": "signed forms, 2026",
    }
    assert corpus_provenance(tmp_path / "out") == DataProvenance(
        ("CC-BY-4.0", "CC0-1.0"), ("signed forms, 2026",)
    )
    changed = run(source, tmp_path / "out", PrepareSettings(license="MIT"))
    assert changed.reused == 6  # it does not change what is made of a clip


def test_one_reminder_where_nothing_is_stated(tmp_path: Path):
    report = run(two_people(tmp_path / "in"), tmp_path / "out")
    assert reminders(report.warnings) == [reminders(report.warnings)[0]]
    assert "no license for 5 of 6 clips and no consent of 2 of 2 speaker(s)" in reminders(report.warnings)[0]
    assert corpus_provenance(tmp_path / "out").licenses == ("not stated", "CC0-1.0")


def test_a_table_of_speakers(tmp_path: Path):
    facts = (
        "speaker_id\tgender\tlicence\tconsent\tregion\nአበበ\tmale\tCC-BY-4.0\tform 7\tጎንደር\nሌላ\tfemale\t\t\t\n"
    )
    report = run(two_people(tmp_path / "in", facts), tmp_path / "out")
    assert "no license for 2 of 6 clips and no consent of 1 of 2 speaker(s)" in reminders(report.warnings)[0]
    made = rows(tmp_path / "out/manifest.jsonl")
    assert [(row.get("license"), row.get("gender")) for row in made[:2]] == [
        ("CC-BY-4.0", "male"),
        (None, None),
    ]
    people = table(tmp_path / "out/speakers.tsv")
    assert (people["አበበ"]["region"], people["አበበ"]["consent"], people["አልማዝ"]["consent"]) == (
        "ጎንደር",
        "form 7",
        "",
    )
    assert "ሌላ" not in people
    again = run(tmp_path / "out", tmp_path / "again")  # the corpus as a source
    assert table(tmp_path / "again/speakers.tsv")["አበበ"] == people["አበበ"]
    assert again.kept == 6


def test_a_table_of_speakers_elsewhere_and_bad_ones(tmp_path: Path):
    source = two_people(tmp_path / "in")
    make_files(
        tmp_path, {"people.csv": "name,consent\nአበበ,yes\nአልማዝ,yes\n", "bad.tsv": "gender\tage\nx\t3\n"}
    )
    done = call(
        "prepare",
        source,
        "--out",
        tmp_path / "out",
        "--jobs",
        1,
        "--speakers",
        tmp_path / "people.csv",
        "--license",
        "MIT",
    )
    assert done.code == 0, done.err
    assert "--consent-note" not in done.err
    with pytest.raises(AmttsError, match="no column names the speakers; it has gender, age"):
        read_speakers(tmp_path / "bad.tsv")
    call("prepare", source, "--out", tmp_path / "no", "--speakers", tmp_path / "none.tsv").refused("none.tsv")


def test_merge_takes_it_over(tmp_path: Path):
    one = run(two_people(tmp_path / "a-in"), tmp_path / "a", STATED)
    for n in range(3):
        write_wav(tmp_path / f"b-in/{n}.wav", speech(20 + n, seconds=1.0))
    lines = [f"{n}.wav|{SENTENCES[6 + n]}|አበበ" for n in range(3)]
    facts = "speaker\tconsent\nአበበ\tby mail\n"
    make_files(
        tmp_path / "b-in", {"metadata.csv": "\n".join(["file|text|speaker", *lines]), "speakers.tsv": facts}
    )
    run(tmp_path / "b-in", tmp_path / "b", PrepareSettings(license="CC0-1.0"))
    report = merge_corpora([tmp_path / "a", tmp_path / "b"], tmp_path / "m", MergeSettings(max_rejected=1.0))
    assert (one.kept, report.kept) == (6, 9)
    people = table(tmp_path / "m/speakers.tsv")
    assert people["a-አበበ"]["consent"] == "signed forms, 2026"
    assert (people["b-አበበ"]["consent"], people["b-አበበ"]["license"]) == ("by mail", "CC0-1.0")
    found = corpus_provenance(tmp_path / "m")
    assert set(found.licenses) == {"CC-BY-4.0", "CC0-1.0"}
    assert found.consent_notes == ("signed forms, 2026",)
    assert [row["license"] for row in rows(tmp_path / "m/manifest.jsonl")][-1] == "CC0-1.0"


def test_the_model_card_says_it(tmp_path: Path):
    info = CheckpointInfo(
        backend="x", backend_config={}, sample_rate=1, data_licenses=["CC0-1.0"], consent_notes=["signed"]
    )
    write_card(tmp_path, info)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "License of the recordings: CC0-1.0" in card
    assert "Consent of the speakers: signed" in card
    (tmp_path / "README.md").write_text("# Mine\n", encoding="utf-8")
    write_card(tmp_path, info)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# Mine\n\n")
    assert "## Training data" in card


def test_renormalizing_makes_no_empty_text(tmp_path: Path):
    make_corpus(tmp_path / "in", 4)
    for name in ("a", "b"):
        run(tmp_path / "in", tmp_path / name)
    for name in ("manifest", "train"):  # as older versions wrote id||text
        path = tmp_path / f"b/{name}.jsonl"
        kept = [json.loads(line) | {"text": ""} for line in path.read_text(encoding="utf-8").splitlines()]
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in kept), encoding="utf-8")
    other = make_corpus(tmp_path / "other-in", 3, seconds=2.0)
    run(other, tmp_path / "c")
    merge_corpora(
        [tmp_path / "c", tmp_path / "b"], tmp_path / "m", MergeSettings(renormalize=True, max_rejected=1.0)
    )
    made = rows(tmp_path / "m/manifest.jsonl")
    assert len(made) == 7
    assert all(row["text"] and row["normalized_text"] for row in made)
