"""Tiny things for tests: a corpus whose sound follows its text, backends of the smallest size, a trained voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.contract.backend import Backend
from amtts_core.contract.registry import get_backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import Example
from amtts_core.corpus.manifest import Utterance
from amtts_core.run.options import RunOptions
from amtts_core.run.run import TrainingResult, train
from amtts_core.settings import merged
from amtts_core.storage.json_lines import write_jsonl
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_core.training.callbacks.base import Callback

RATE = 22050
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
LETTERS = "ለመሰረበተነአከወደገ"
VOWEL_ROWS = range(7)


def fidel_tokenizer() -> TextTokenizer:
    """The tokenizer of every tiny corpus; it is the same for all texts."""
    return train_tokenizer("fidel", [])


def tiny_text(random: np.random.Generator, letters: int) -> str:
    """Two made-up words of plain letters."""
    word = [
        chr(ord(LETTERS[random.integers(len(LETTERS))]) + int(random.integers(7))) for _ in range(letters)
    ]
    cut = letters // 2
    return "".join(word[:cut]) + " " + "".join(word[cut:]) + "።"


def tiny_speech(text: str, random: np.random.Generator, *, rate: int = RATE) -> np.ndarray:
    """A tone pair per letter, 0.1 s each: which one follows from the letter, so the text can be learnt."""
    parts = []
    for character in text:
        time = np.arange(round(0.1 * rate)) / rate
        code = ord(character) - 0x1200
        low, high = 200 + 25 * (code % 8), 900 + 18 * (code // 8)
        loud = 0.02 if character in " ።" else 0.25
        tone = np.sin(2 * np.pi * low * time) + 0.6 * np.sin(2 * np.pi * high * time)
        parts.append(loud * tone * np.hanning(len(time)) ** 0.5)
    wave = np.concatenate(parts)
    return (wave + 0.002 * random.standard_normal(len(wave))).astype(np.float32)


def make_corpus(
    folder: Path, *, train_items: int = 12, val_items: int = 3, seed: int = 0, speakers: Sequence[str] = ("",)
) -> Path:
    """A prepared corpus without `amtts prepare`: audio, train.jsonl, val.jsonl and tokenizer/."""
    random = np.random.default_rng(seed)
    (folder / "audio").mkdir(parents=True)
    rows: list[Utterance] = []
    for number in range(train_items + val_items):
        text = tiny_text(random, int(random.integers(5, 10)))
        wave = tiny_speech(text, random)
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


def tiny_examples(
    backend: Backend, count: int, *, seed: int = 0, letters: Sequence[int] = ()
) -> list[Example]:
    """Utterances as the backend's `collate` takes them; their sound follows their text."""
    random = np.random.default_rng(seed)
    out = []
    for number in range(count):
        text = tiny_text(random, letters[number] if letters else int(random.integers(5, 10)))
        wave = tiny_speech(text, random, rate=backend.sample_rate)
        tokenizer = backend.text_tokenizer
        out.append(
            Example(
                id=f"e{number}",
                tokens=tokenizer.encode(text) if tokenizer else [],
                features=dict(backend.features(wave).arrays),
            )
        )
    return out


def fit_statistics(backend: Backend, examples: Sequence[Example]) -> None:
    """Gives a fresh backend the statistics of these examples, as training does."""
    backend.initialize(ExampleList(list(examples)))


@dataclass(frozen=True)
class ExampleList:
    """Examples as `TrainingExamples`."""

    examples: list[Example]

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, index: int) -> Example:
        """One of them."""
        return self.examples[index]

    def statistics(self) -> dict[str, np.ndarray]:
        """Mean and standard deviation of every feature."""
        found: dict[str, np.ndarray] = {}
        for name in self.examples[0].features:
            arrays = [example.features[name] for example in self.examples]
            rows = np.concatenate([array.reshape(len(array), -1) for array in arrays])
            found[f"{name}_mean"] = rows.mean(0).astype(np.float32)
            found[f"{name}_std"] = rows.std(0).clip(1e-4).astype(np.float32)
        return found


def overfit(backend: Backend, examples: Sequence[Example], steps: int, *, rate: float = 3e-3) -> list[float]:
    """Trains on one batch with the backend's own learner; returns the last phase's loss of every step."""
    from amtts_core.config.sections import OptimConfig
    from amtts_core.training.optim import build_optimizer
    from amtts_core.training.statistics import statistics_of

    learner = backend.learner()
    optim = OptimConfig(learning_rate=rate)
    optimizers = {phase: build_optimizer(learner.parameters(phase), optim) for phase in learner.phases}
    batch, history = backend.collate(examples), []
    backend.network.train()
    for _ in range(steps):
        with statistics_of(learner, backend.spec):
            for loss in learner.losses(batch):
                optimizers[loss.phase].zero_grad(set_to_none=True)
                loss.total.backward(inputs=learner.parameters(loss.phase))
                optimizers[loss.phase].step()
        history.append(float(loss.total.detach()))
    backend.network.eval()
    return history


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
