"""Old languages: same ids, scores before and after, a run that stops above its limit and keeps its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from extended import extended, train_from
from tiny_voice import make_corpus

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.errors import AmttsError
from amtts_core.forgetting.old_text import compare_old_texts, read_texts

TEXTS = {"chatterbox": "the thin sheep\nin the end\n", "indextts2": "THE WORLD\n你好世界\n"}


@pytest.fixture(scope="module", params=["chatterbox", "indextts2"])
def voice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Folder with corpus, old.txt, extended weights and a run of two small steps."""
    backend, folder = request.param, tmp_path_factory.mktemp(request.param)
    make_corpus(folder / "corpus")
    (folder / "old.txt").write_text(TEXTS[backend], encoding="utf-8")
    extended(folder, backend)
    quiet: dict[str, Any] = {"max_steps": 2, "optim": {"learning_rate": 1e-6}}
    make_corpus(folder / "speech", train_items=2, val_items=2, seed=5, speakers=["somebody else"])
    guard = {"guard": {"old_text": str(folder / "old.txt"), "old_data": str(folder / "speech")}}
    train_from(folder / "corpus", folder / "run", folder / "new", backend, training=quiet | guard)
    return backend, folder


def test_ids_and_scores_before_and_after(voice: tuple[str, Path]) -> None:
    backend, folder = voice
    _, tokenizer = (
        folder / "old" / "x",
        folder / "old" / ("mtl.json" if backend == "chatterbox" else "bpe.model"),
    )
    weights = folder / "old" / ("t3.safetensors" if backend == "chatterbox" else "gpt.pth")
    for before in (folder / "new", weights):
        found = compare_old_texts(
            folder / "run", old_text=folder / "old.txt", old_tokenizer=tokenizer, old_checkpoint=before
        )
        assert found.texts == 2
        assert not found.other_ids
        assert found.scores is not None
        if backend == "chatterbox":
            assert abs(found.scores.rise) < 0.05  # two steps at a rate of 1e-6
        assert found.scores.before > 0.1
    metrics = read_checkpoint(folder / "run", prefer="latest").info.metrics
    assert abs(metrics["forgetting/rise"]) < 0.05
    assert metrics["forgetting/text"] == pytest.approx(found.after, rel=1e-4)
    assert abs(metrics["forgetting/speech_rise"]) < 0.5  # T3 also remembers a prompt of its first step
    stored = json.loads((folder / "run" / "forgetting.json").read_text(encoding="utf-8"))
    assert [len(stored["before"][what]) for what in ("text", "speech")] == [2, 2]
    done = call(
        "validate-e2e", "--checkpoint", folder / "run", "--old-text", folder / "old.txt",
        "--old-tokenizer", tokenizer, "--old-checkpoint", folder / "new", "--max-rise", 50, "--json",
        "--old-data", folder / "speech",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json()["other_ids"] == 0
    assert done.json()["speech_after"] == pytest.approx(metrics["forgetting/speech"], rel=1e-3)
    for option in ("--old-data", "--old-checkpoint"):
        done = call("validate-e2e", "--checkpoint", folder / "run", option, folder / "speech")
        assert done.code == 2
        assert "--old-text and --old-tokenizer together" in done.err
    other = folder / "corpus" / "tokenizer"
    done = call(
        "validate-e2e",
        "--checkpoint",
        folder / "run",
        "--old-text",
        folder / "old.txt",
        "--old-tokenizer",
        other,
    )
    assert done.code == 1
    assert "2 cut otherwise than before" in done.out


def test_a_run_stops_above_its_limit_and_keeps_the_checkpoint(
    voice: tuple[str, Path], tmp_path: Path
) -> None:
    backend, folder = voice
    training: dict[str, Any] = {
        "max_steps": 40,
        "validate_every": 2,
        "save_every": 40,
        "guard": {"old_text": str(folder / "old.txt"), "limit": 0.01},
        "optim": {"learning_rate": 0.05},
    }
    with pytest.raises(
        AmttsError, match=r"stopped at step \d+: the old languages' text score rose from"
    ) as told:
        train_from(folder / "corpus", tmp_path / "run", folder / "new", backend, training=training)
    assert "kept in" in told.value.remedy
    kept = read_checkpoint(tmp_path / "run", prefer="latest")
    assert 0 < kept.info.step < 40
    assert kept.info.metrics["forgetting/rise"] > 0.01
    stored = json.loads((tmp_path / "run" / "forgetting.json").read_text(encoding="utf-8"))
    assert len(stored["before"]["text"]) == 2


def test_the_best_checkpoint_may_be_chosen_by_what_the_monitor_measures(
    voice: tuple[str, Path], tmp_path: Path
) -> None:
    backend, folder = voice
    training: dict[str, Any] = {
        "max_steps": 2,
        "validate_every": 1,
        "best_by": "forgetting/rise",
        "guard": {"old_text": str(folder / "old.txt")},
    }
    outcome = train_from(
        folder / "corpus", tmp_path / "run", folder / "new", backend, training=training
    ).outcome
    assert outcome.best_step is not None
    best = read_checkpoint(tmp_path / "run").info
    assert (best.step, best.metrics["forgetting/rise"]) == (outcome.best_step, outcome.best_metric)
    other = training | {"best_by": "forgetting/fall"}
    with pytest.raises(AmttsError, match="'forgetting/fall', which is not measured; .*forgetting/rise"):
        train_from(folder / "corpus", tmp_path / "other", folder / "new", backend, training=other)


def test_old_speech_that_is_half_unreadable_is_refused(voice: tuple[str, Path], tmp_path: Path) -> None:
    backend, folder = voice
    speech = make_corpus(tmp_path / "speech", train_items=2, val_items=2, seed=5)
    (speech / "audio/u002.wav").unlink()
    with pytest.raises(AmttsError, match="1 of 2 utterances are unusable .*data.max_excluded"):
        train_from(
            folder / "corpus",
            tmp_path / "run",
            folder / "new",
            backend,
            training={"max_steps": 1, "guard": {"old_data": str(speech)}},
        )


def test_old_speech_is_compared_where_both_speak_the_same_codes(voice: tuple[str, Path]) -> None:
    backend, folder = voice
    tokenizer = folder / "old" / ("mtl.json" if backend == "chatterbox" else "bpe.model")
    common = {"old_text": folder / "old.txt", "old_tokenizer": tokenizer, "old_data": folder / "speech"}
    found = compare_old_texts(folder / "run", old_checkpoint=folder / "run", **common)
    assert found.speech is not None
    assert abs(found.speech.rise) < 0.2  # the same weights; the old tokenizer does not know Amharic letters
    assert found.speech.before > 0.1
    assert compare_old_texts(folder / "run", **common).speech_note.startswith("give --old-checkpoint")


def test_a_backend_without_text_head_says_so(tmp_path: Path) -> None:
    from tiny_voice import train_tiny

    corpus = make_corpus(tmp_path / "corpus", train_items=4)
    (tmp_path / "old.txt").write_text("hello\n", encoding="utf-8")
    with pytest.raises(AmttsError, match="'chatterbox-mel' predicts no text"):
        train_tiny(corpus, tmp_path / "run", training={"guard": {"old_text": str(tmp_path / "old.txt")}})
    with pytest.raises(AmttsError, match="cannot be read"):
        read_texts(tmp_path / "none.txt")
    with pytest.raises(AmttsError, match="'chatterbox-mel' predicts no speech codes"):
        train_tiny(corpus, tmp_path / "run", training={"guard": {"old_data": str(corpus)}})
    with pytest.raises(AmttsError, match="limit 0.5 has no score to limit"):
        train_tiny(corpus, tmp_path / "run", training={"guard": {"limit": 0.5}})
    assert not (tmp_path / "run").exists()
