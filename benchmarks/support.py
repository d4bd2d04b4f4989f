"""What the benchmarks share: a corpus of noise with Amharic text, so that they need no files and no training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from amtts_core.backend import Backend
from amtts_core.config import RunConfig, resolve_config
from amtts_core.text.tokenizer import TextTokenizer, train_tokenizer

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
    return kind.build(config.model_config_of(kind.spec), tokenizer=tokenizer), config, tokenizer


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
