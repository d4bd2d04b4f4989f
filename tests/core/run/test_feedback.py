"""Learning from corrected words: pairs are checked, mixed with the original data, and what came of it is measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_voice import RATE, make_corpus, tiny_config, tiny_speech, tiny_text

from amtts_core.corpus.feedback import CORRECTED, make_feedback_corpus
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError
from amtts_core.run.feedback import with_replay
from amtts_core.run.options import RunOptions
from amtts_core.run.run import train
from amtts_core.tokenizers.factory import load_tokenizer


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three good pairs."""
    folder, random = tmp_path / "pairs", np.random.default_rng(5)
    folder.mkdir()
    for number in range(3):
        text = tiny_text(random, 6)
        add(folder, f"good{number}", text, tiny_speech(text, random, rate=RATE))
    return folder


def add(folder: Path, name: str, text: str, wave: np.ndarray) -> None:
    soundfile.write(folder / f"{name}.wav", wave, RATE, subtype="PCM_16")
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def made(pairs: Path, original: Path, out: Path) -> tuple[dict[str, str], list[str]]:
    """Rule that rejected each pair, and ids of what is learnt from."""
    tokenizer = load_tokenizer(original / "tokenizer")
    corpus = make_feedback_corpus(pairs, out, original=original, tokenizer=tokenizer)
    rows = list(read_manifest(corpus.folder / "train.jsonl"))
    assert corpus.corrected == len(rows)
    assert all(row.audio_path(corpus.folder / "train.jsonl").is_file() for row in rows)
    return {row["where"]: row["rule"] for row in corpus.rejected}, [row.id for row in rows]


def test_each_bad_pair_is_told_with_its_reason(pairs: Path, original: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    speech = tiny_speech("ሰላም ለሰው።", random, rate=RATE)
    (pairs / "damaged.wav").write_bytes(b"RIFF nothing")
    (pairs / "damaged.txt").write_text("ሰላም", encoding="utf-8")
    add(pairs, "empty", "", speech)
    add(pairs, "hurried", "ሰላም ለሰው ሁሉ " * 30, speech)
    add(pairs, "drawn-out", "ሰ", np.tile(speech, 12))
    add(pairs, "foreign", "ሰላም λόγος", speech)
    rejected, learnt = made(pairs, original, tmp_path / "out")
    by_name = {Path(where).stem.removeprefix("corrected-"): rule for where, rule in rejected.items()}
    assert by_name.pop("foreign") in {"unknown-symbol", "wrong-script"}
    assert by_name == {
        "damaged": "unreadable",
        "empty": "empty-text",
        "hurried": "too-fast",
        "drawn-out": "too-slow",
    }
    assert sum(name.startswith("corrected-") for name in learnt) == 3


def test_no_good_pair_is_an_error_that_names_the_reasons(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    add(folder, "only", "", tiny_speech("ሰላም።", np.random.default_rng(0), rate=RATE))
    with pytest.raises(AmttsError, match=r"none of 1 pairs can be learnt from: only\.txt"):
        made(folder, original, tmp_path / "out")
    with pytest.raises(AmttsError, match="is not a folder"):
        made(tmp_path / "nowhere", original, tmp_path / "out")


@pytest.mark.parametrize("backend", ["chatterbox-mel", "vits"])
def test_the_error_on_corrected_words_falls_and_is_reported_before_and_after(
    backend: str, pairs: Path, original: Path, tmp_path: Path
) -> None:
    training = {"max_steps": 6, "validate_every": 6, "sample_every": 0, "tensorboard": False}
    config, kind = tiny_config(
        backend,
        training={**training, "optim": {"learning_rate": 4e-3}},
        data={"replay": {"data": str(original), "ratio": 0.6}, "batch_seconds": 4.64},
    )
    result = train(config, kind, RunOptions(data=original, run=tmp_path / "run", feedback=pairs, jobs=1))
    report = json.loads((tmp_path / "run" / "feedback_report.json").read_text(encoding="utf-8"))
    assert result.feedback is not None
    assert report == result.feedback.as_dict()
    assert (report["corrected"], report["replayed"], report["rejected"]) == (3, 4, [])
    learnt = (tmp_path / "run" / "seen_utterances.jsonl").read_text(encoding="utf-8")
    assert "replay/" in learnt, "the original data is mixed in"
    assert "corrected-" in learnt
    assert report["metric"] == config.training.best_by
    for name in ("corrected", "validation"):
        before, after = report["before"][name][report["metric"]], report["after"][name][report["metric"]]
        assert after < before, name
        assert any(f"{before:.4f} before, {after:.4f} after" in line for line in result.feedback.lines())
    assert {row.id for row in read_manifest(tmp_path / "run" / "feedback" / CORRECTED)} <= {
        row.id for row in read_manifest(tmp_path / "run" / "feedback" / "val.jsonl")
    }


@pytest.mark.parametrize(("asked", "kept"), [(0.2, 10 / 11), (0.95, 0.95)])
def test_ten_utterances_of_the_original_for_each_corrected_one(
    asked: float, kept: float, original: Path
) -> None:
    config, _ = tiny_config("chatterbox-mel", data={"replay": {"ratio": asked}})
    found = with_replay(config, original).data.replay
    assert found.data == str(original)
    assert found.ratio == pytest.approx(kept)
    assert round(3 * found.ratio / (1 - found.ratio)) >= 30
