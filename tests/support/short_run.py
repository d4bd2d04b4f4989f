"""A run of six steps with checkpoints at 2, 4 and 6, by `amtts train`: to be cut, harmed and resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

from command_line import Done, call

SETTINGS = (
    *("training.validate_every=2", "training.save_every=2", "training.keep=9", "training.ema_decay=0.9"),
    *("training.sample_every=0", "training.tensorboard=false", "data.batch_seconds=3.48"),
)


def begin(corpus: Path, run: Path, *settings: str) -> Done:
    """Starts it; `settings` come last and win."""
    options = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    start = ("--backend", "chatterbox-mel", "--preset", "tiny", "--max-steps", 6, "--jobs", 1)
    return call("train", "--data", corpus, "--out", run, *start, *options)


def resume(corpus: Path, run: Path, *arguments: object) -> Done:
    """Goes on with it."""
    return call("train", "--data", corpus, "--out", run, "--resume", "--jobs", 1, *arguments)


def cut_after_four(run: Path) -> Path:
    """Makes a finished run one that was killed after step 4, before the checkpoint of step 6."""
    shutil.rmtree(run / "checkpoints/step-00000006")
    for pointer in ("latest", "best"):
        (run / pointer).write_text("step-00000004\n")
    return run


def assert_same_end(whole: Path, run: Path) -> None:
    """Weights, average, moments, random state, position and sample ledger are the same in every byte."""
    for name in ("model.safetensors", "training.safetensors", "training.json"):
        pair = [folder / "checkpoints/step-00000006" / name for folder in (whole, run)]
        assert pair[0].read_bytes() == pair[1].read_bytes(), name
    assert (whole / "seen_utterances.jsonl").read_bytes() == (run / "seen_utterances.jsonl").read_bytes()
