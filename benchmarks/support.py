"""What the benchmarks share: a corpus of noise with Amharic text, so that they need no files and no training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.contract.backend import Backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_core.training.statistics import SingleProcess

SENTENCES = (
    "ዛሬ ጠዋት ወደ ገበያ ሄጄ ትኩስ አትክልትና ፍራፍሬ ገዛሁ።",
    "ልጆቹ ከትምህርት ቤት ሲመለሱ ዝናብ አገኛቸው።",
    "አዲሱ መንገድ በሚቀጥለው ወር ለትራፊክ ክፍት ይሆናል።",
    "እናቴ ጥሩ ቡና አፍልታ ጎረቤቶቻችንን ጠራች።",
)


def backend_of(name: str, preset: str = "") -> tuple[Backend, RunConfig, TextTokenizer]:
    """A fresh backend with the consonant + vowel tokenizer."""
    config, kind = resolve_config({"backend": name, "preset": preset} if preset else {"backend": name})
    tokenizer = train_tokenizer("fidel", SENTENCES)
    return kind(config.model_config_of(kind.spec), tokenizer=tokenizer), config, tokenizer


def write_corpus(folder: Path, *, utterances: int, seconds: float, sample_rate: int) -> Path:
    """A manifest of noise "speech" of one length; returns its path."""
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * sample_rate)).astype(np.float32)
    rows = []
    for number in range(utterances):
        path = folder / f"{number:04d}.wav"
        soundfile.write(path, np.roll(noise, number * 997), sample_rate)
        text = SENTENCES[number % len(SENTENCES)]
        rows.append({"id": path.stem, "audio_filepath": path.name, "duration": seconds, "text": text})
    manifest = folder / "train.jsonl"
    manifest.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return manifest


def side_by_side(cases: Mapping[str, Callable[[], int]], *, rounds: int) -> dict[str, tuple[float, float]]:
    """Runs the cases in turns, round after round, so that a busy machine slows all of them alike.

    Args:
        cases: name -> a function that does its work once and returns how much it did; the first is the yardstick.
        rounds: how often.

    Returns:
        name -> (amount per second of processor time, times as fast as the yardstick), medians over the rounds.
    """
    for run in cases.values():
        run()  # what is made once is made here
    speeds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            began = time.thread_time()
            amount = run()
            speeds[name].append(amount / (time.thread_time() - began))
    yardstick = speeds[next(iter(cases))]
    return {
        name: (median(found), median(one / other for one, other in zip(found, yardstick, strict=True)))
        for name, found in speeds.items()
    }


_CODES = Path(__file__).parents[1] / "examples" / "codecs" / "mel-codes-am"
_OVER_CODES = {
    "codec": "mel-codes",
    "codec_weights": str(_CODES),
    "speech_codes": 1024,
    "start_speech": 1024,
    "stop_speech": 1025,
    "speech_rows": 1026,
}
_NEEDS = {
    "chatterbox": _OVER_CODES,
    "chatterbox-turbo": _OVER_CODES,
    "indextts2": {"codec_weights": str(_CODES)},
}
"""Settings that a backend cannot be built without: here the codec that comes along."""


def write_untrained(name: str, folder: Path, *, preset: str) -> None:
    """A checkpoint of random weights, which loads and speaks as a trained one does."""
    config, kind = resolve_config({"backend": name, "preset": preset, "model": _NEEDS.get(name, {})})
    tokenizer = train_tokenizer("fidel", SENTENCES)
    backend = kind(config.model_config_of(kind.spec), tokenizer=tokenizer)
    if name == "indextts2":  # asks for a length
        import torch

        backend.network.length_model.update(torch.tensor([20]), torch.tensor([40]))
        backend.network.length_model.end_step(SingleProcess())
    write_backend(folder, backend)
