"""What `prepare` makes of a corpus: levelled audio, normalized text, splits and a ledger that reconciles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyloudnorm
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prepared import LENIENT, add_hostile, contents, rows, run
from recordings import SENTENCES, make_corpus, speech, write_wav

from amtts_core.corpus.manifest import read_manifest
from amtts_core.corpus.prepare import PrepareProgress
from amtts_core.corpus.settings import PrepareSettings, resolve_settings
from amtts_core.corpus.split import FewForValidation, place_of
from amtts_core.corpus.split_corpus import split_corpus
from amtts_core.errors import AmttsError, ConfigError


def test_a_good_corpus(tmp_path: Path):
    source, out = make_corpus(tmp_path / "in", 12), tmp_path / "out"
    seen: list[PrepareProgress] = []
    report = run(source, out, on_progress=seen.append)
    assert (report.total, report.kept, report.dropped) == (12, 12, 0)
    assert [progress.done for progress in seen] == list(range(13))
    assert seen[-1].total == 12
    kept = list(read_manifest(out / "manifest.jsonl"))
    assert [utterance.id for utterance in kept] == [f"clip{n:02}" for n in range(12)]
    for number, utterance in enumerate(kept):
        samples, rate = soundfile.read(utterance.audio_path(out / "manifest.jsonl"))
        assert rate == utterance.sample_rate == 22050
        assert samples.ndim == 1
        assert utterance.duration == pytest.approx(len(samples) / rate, abs=1e-5)
        assert utterance.duration == pytest.approx(1.1 + number * 0.01, abs=0.08)
        assert pyloudnorm.Meter(rate).integrated_loudness(samples) == pytest.approx(-23, abs=0.1)
        assert utterance.text == SENTENCES[number]
        assert utterance.model_extra is not None
        assert utterance.model_extra["source"] == f"wavs/clip{number:02}.wav"
    parts = {split: rows(out / f"{split}.jsonl") for split in ("train", "val", "test")}
    assert sum(len(part) for part in parts.values()) == 12
    assert all(row["split"] == split for split, part in parts.items() for row in part)
    assert {k: v.utterances for k, v in report.splits.items()} == {k: len(v) for k, v in parts.items()}
    stored = json.loads((out / "prepare.json").read_text(encoding="utf-8"))
    assert stored["state"] == "complete"
    assert PrepareSettings.model_validate(stored["settings"]) == LENIENT
    assert kept[9].normalized_text != kept[9].text  # ሥ is folded


def test_dc_offset_does_not_change_the_corpus(tmp_path: Path):
    durations = []
    for offset in (0.0, -0.125):
        folder = tmp_path / f"in{offset}"
        write_wav(folder / "a.wav", speech(1, silence=0.8) + offset)
        (folder / "metadata.csv").write_text("audio_file|text\na.wav|ሰላም ለሁሉም።\n", encoding="utf-8")
        run(folder, tmp_path / f"out{offset}")
        durations.append(rows(tmp_path / f"out{offset}/manifest.jsonl")[0]["duration"])
    assert durations[0] == pytest.approx(1.6, abs=0.08)
    assert durations[0] == durations[1]


def test_what_is_left_out_of_texts_is_told(tmp_path: Path):
    write_wav(tmp_path / "in/a.wav", speech(1))
    (tmp_path / "in/metadata.csv").write_text("audio_file|text\na.wav|ሰላም 😀 ለሁሉም 😀።\n", encoding="utf-8")
    warnings = run(tmp_path / "in", tmp_path / "out").warnings
    assert [line for line in warnings if line.startswith("2 emoji")]


def test_ljspeech_speaks_its_normalised_column(tmp_path: Path):
    for name in ("a", "b"):
        write_wav(tmp_path / f"in/wavs/{name}.wav", speech(ord(name)))
    (tmp_path / "in/metadata.csv").write_text("a|5 ብር|አምስት ብር\nb|ሰላም|\n", encoding="utf-8")
    assert run(tmp_path / "in", tmp_path / "out").importer == "ljspeech"
    made = rows(tmp_path / "out/manifest.jsonl")
    assert [(row["text"], row["normalized_text"]) for row in made] == [("5 ብር", "አምስት ብር"), ("ሰላም", "ሰላም")]


def test_equal_stems_do_not_overwrite_each_other(tmp_path: Path):
    folder = tmp_path / "in"
    lines = ["audio_file|text"]
    for number, name in enumerate(("a/x.wav", "b/x.wav", "c/X.wav", "d/x y.wav", "e/x_y.wav")):
        write_wav(folder / name, speech(number))
        lines.append(f"{name}|{SENTENCES[number]}")
    (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    assert run(folder, tmp_path / "out").kept == 5
    made = rows(tmp_path / "out/manifest.jsonl")
    assert len({row["audio_filepath"].casefold() for row in made}) == 5
    assert len(list((tmp_path / "out/audio").iterdir())) == 5


def test_the_number_of_processes_does_not_matter(tmp_path: Path):
    source = make_corpus(tmp_path / "in", 10)
    add_hostile(source)
    run(source, tmp_path / "one", jobs=1)
    run(source, tmp_path / "two", jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_tiny_corpus_says_that_val_is_empty(tmp_path: Path):
    report = run(make_corpus(tmp_path / "in", 2), tmp_path / "out", PrepareSettings(val=0.001, test=0.001))
    assert [warning.split(":")[0] for warning in report.warnings[:3]] == [
        "the val split is empty",
        "the test split is empty",
        "2 clips with 0.0 minutes of speech are too little to learn a voice from",
    ]


def test_validation_keeps_a_few_sentences_where_chance_gives_none(tmp_path: Path):
    chosen = PrepareSettings(val=1e-9, test=0.0)
    assert run(make_corpus(tmp_path / "in", 5), tmp_path / "out", chosen).splits["val"].utterances == 1
    assert (
        run(make_corpus(tmp_path / "in", 42, seconds=0.5), tmp_path / "out", chosen).splits["val"].utterances
        == 3
    )
    assert run(tmp_path / "in", tmp_path / "none", PrepareSettings(val=0.0)).splits["val"].utterances == 0
    sides = {row["id"]: row["split"] for row in rows(tmp_path / "out/manifest.jsonl")}
    report = split_corpus(tmp_path / "out", val=1e-9, test=0.0)
    assert report.splits["val"].utterances == 3
    assert {row["id"]: row["split"] for row in rows(tmp_path / "out/manifest.jsonl")} == sides


@pytest.mark.parametrize(
    ("rows", "by_chance", "in_all"),
    [(120, 0, 5), (120, 1, 5), (120, 9, 9), (60, 2, 3), (30, 1, 2), (8, 1, 1)],
)
def test_validation_is_filled_up_where_chance_gives_too_few(rows: int, by_chance: int, in_all: int):
    few = FewForValidation()
    for number in range(rows):
        few.add(f"ቃል {number}", "val" if number < by_chance else "train")
    chosen = few.chosen(val=0.05)
    assert by_chance + len(chosen) == in_all
    assert not chosen & {place_of(f"ቃል {number}") for number in range(by_chance)}
    assert not few.chosen(val=0.0)


def test_all_faults_of_the_settings_at_once():
    with pytest.raises(ConfigError) as caught:
        resolve_settings({"sample_rat": 1, "loudness": 5, "normalizer": {"number": True}})
    for part in (
        "sample_rat: unknown (did you mean 'sample_rate'?)",
        "loudness",
        "(did you mean 'numbers'?)",
    ):
        assert part in str(caught.value)
    with pytest.raises(ConfigError, match="leave nothing to train on"):
        resolve_settings({"val": 0.5, "test": 0.5})
    with pytest.raises(ConfigError, match="not below max_duration"):
        resolve_settings({"min_duration": 5, "max_duration": 5})


def test_an_unknown_language_is_one_line(tmp_path: Path):
    chosen = resolve_settings({"normalizer": {"language": "xx"}})
    with pytest.raises(AmttsError, match="language 'xx'"):
        run(make_corpus(tmp_path / "in", 1), tmp_path / "out", chosen)
    assert not (tmp_path / "out").exists()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["wavs/clip00.wav", "wavs/clip01.wav", "x.wav", "..", "/"]),
                st.text(max_size=12),
            ),
            st.text(max_size=20),
        ),
        max_size=10,
    )
)
def test_any_table_reconciles(tmp_path: Path, lines: list[tuple[str, str]]):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    make_corpus(source, 2, seconds=0.5)
    content = "".join(f"{name}|{text}\n" for name, text in lines).encode(errors="replace")
    with (source / "metadata.csv").open("ab") as handle:
        handle.write(content)
    report = run(source, out)
    entries = [line for line in content.decode().split("\n") if line.strip("\r").strip()]
    assert report.total == 2 + len(entries) == report.kept + report.dropped + report.set_aside
    assert len(rows(out / "rejected.jsonl")) == report.dropped + report.set_aside
    assert len(rows(out / "manifest.jsonl")) == report.kept
