"""Tiny things for tests: a corpus whose sound follows its text, backends of the smallest size, a trained voice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.config.sections import OptimConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.registry import get_backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import Example
from amtts_core.corpus.manifest import Utterance
from amtts_core.preflight.subject import overfit as train_briefly
from amtts_core.run.options import RunOptions
from amtts_core.run.run import TrainingResult, train
from amtts_core.settings import merged
from amtts_core.storage.json_lines import write_jsonl
from amtts_core.testing.made_up_speech import LETTERS as LETTERS
from amtts_core.testing.made_up_speech import ExampleList as ExampleList
from amtts_core.testing.made_up_speech import made_up_examples
from amtts_core.testing.made_up_speech import made_up_speech as tiny_speech
from amtts_core.testing.made_up_speech import made_up_text as tiny_text
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_core.training.callbacks.base import Callback
from amtts_core.training.statistics import SingleProcess

RATE = 22050
tiny_examples = made_up_examples
CODEC = Path(__file__).parents[2] / "examples" / "codecs" / "mel-codes-am"


class _Needs(dict[str, dict[str, Any]]):
    """Settings by backend; those of s3gen name weights that are made when they are asked for."""

    def get(self, name: str, default: Any = None) -> Any:
        if name != "s3gen":
            return super().get(name, default)
        from tiny_s3 import shared_weights

        return {"model": {"codec_weights": str(shared_weights())}}


_OVER_MEL_CODES = {
    "model": {
        "codec": "mel-codes",
        "codec_weights": str(CODEC),
        "speech_codes": 1024,
        "start_speech": 1024,
        "stop_speech": 1025,
        "speech_rows": 1026,
    }
}
NEEDS = _Needs(
    {
        "indextts2": {"model": {"codec_weights": str(CODEC)}},
        "chatterbox": _OVER_MEL_CODES,
        "chatterbox-turbo": _OVER_MEL_CODES,
    }
)
"""Settings that a backend cannot be built without."""


def fidel_tokenizer() -> TextTokenizer:
    """The tokenizer of every tiny corpus; it is the same for all texts."""
    return train_tokenizer("fidel", [])


def make_corpus(
    folder: Path, *, train_items: int = 12, val_items: int = 3, seed: int = 0, speakers: Sequence[str] = ("",)
) -> Path:
    """A prepared corpus without `amtts prepare`: audio, train.jsonl, val.jsonl and tokenizer/."""
    random = np.random.default_rng(seed)
    (folder / "audio").mkdir(parents=True)
    rows: list[Utterance] = []
    for number in range(train_items + val_items):
        text = tiny_text(random, int(random.integers(5, 10)))
        wave = tiny_speech(text, random, rate=RATE)
        name = f"audio/u{number:03d}.wav"
        soundfile.write(folder / name, wave, RATE, subtype="PCM_16")
        rows.append(
            Utterance(
                id=f"u{number:03d}",
                audio_filepath=name,
                duration=round(len(wave) / RATE, 4),
                text=text,
                normalized_text=text,
                speaker=speakers[number % len(speakers)],
            )
        )
    write_jsonl(folder / "train.jsonl", rows[:train_items])
    write_jsonl(folder / "val.jsonl", rows[train_items:])
    fidel_tokenizer().save(folder / "tokenizer")
    return folder


def tiny_config(backend: str = "chatterbox-mel", **sections: Any) -> tuple[RunConfig, type[Backend]]:
    """A few quick steps of the smallest preset; `sections` replace values, e.g. `training={"max_steps": 3}`."""
    presets = get_backend(backend).spec.presets
    values: dict[str, Any] = {
        "backend": backend,
        "preset": "tiny" if "tiny" in presets else "",
        "data": {"batch_seconds": 3.48},
        "training": {
            "max_steps": 6,
            "validate_every": 3,
            "save_every": 3,
            "log_every": 1,
            "sample_every": 0,
            "tensorboard": False,
            "optim": {"warmup_steps": 2, "learning_rate": 2e-3},
        },
    }
    return resolve_config(merged(merged(values, NEEDS.get(backend, {})), sections))


def assignments(backend: str) -> list[str]:
    """Options of `amtts train` for the smallest size of a backend: its preset and what it cannot be built without."""
    presets = get_backend(backend).spec.presets
    options = ["--preset", "tiny"] if "tiny" in presets else []
    for section, values in NEEDS.get(backend, {}).items():
        for key, value in values.items():
            options += ["--set", f"{section}.{key}={value}"]
    return options


def tiny_backend(name: str, *, speakers: Sequence[str] = ()) -> Backend:
    """A fresh backend of the smallest size, seeded."""
    import torch

    torch.manual_seed(7)
    config, kind = tiny_config(name)
    tokenizer = fidel_tokenizer() if kind.spec.text else None
    return kind(config.model_config_of(kind.spec), tokenizer=tokenizer, speakers=speakers)


def train_tiny(
    corpus: Path,
    run: Path,
    /,
    *,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    force: bool = False,
    from_scratch: bool = False,
    **sections: Any,
) -> TrainingResult:
    """Trains the smallest chatterbox-mel for a few steps."""
    config, kind = tiny_config(**sections)
    return train(
        config,
        kind,
        RunOptions(data=corpus, run=run, resume=resume, force=force, from_scratch=from_scratch, jobs=1),
        callbacks=callbacks,
    )


def fit_statistics(backend: Backend, examples: Sequence[Example]) -> None:
    """Gives a fresh backend the statistics of these examples, as training does."""
    backend.initialize(ExampleList(list(examples)))


def overfit(backend: Backend, examples: Sequence[Example], steps: int, *, rate: float = 3e-3) -> list[float]:
    """Trains on one batch with the backend's own learner; returns the last phase's loss of every step."""
    return train_briefly(backend, examples, steps, OptimConfig(learning_rate=rate, clip_norm=0))


def tiny_voice(folder: Path) -> tuple[Path, Path]:
    """A corpus and a run that learnt its durations and tones well enough to be heard."""
    corpus, run = make_corpus(folder / "corpus"), folder / "run"
    training = {
        "max_steps": 60,
        "validate_every": 60,
        "save_every": 60,
        "optim": {"learning_rate": 5e-3, "schedule": "constant"},
    }
    train_tiny(corpus, run, training=training)
    return corpus, run


def write_untrained(name: str, folder: Path) -> None:
    """A checkpoint of the smallest size with random weights, which loads and speaks as a trained one does."""
    backend = tiny_backend(name)
    if name == "chatterbox-mel":
        fit_statistics(backend, tiny_examples(backend, 2))
    if name == "indextts2":  # asks for a length
        import torch

        backend.network.length_model.update(torch.tensor([20]), torch.tensor([40]))
        backend.network.length_model.end_step(SingleProcess())
    write_backend(folder, backend)
