"""Recordings for tests: voiced syllables with pauses, unlike each other by seed, and corpora of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

SENTENCES = (
    "ሰላም ለሁሉም ይሁን።",
    "ዛሬ ገበያ ሄድኩ።",
    "ልጁ መጽሐፍ ያነባል።",
    "እናቴ ቡና ታፈላለች።",
    "ዝናብ ዘነበ፣ ሜዳውም አረንጓዴ ሆነ።",
    "አውቶቡሱ ቶሎ መጣ።",
    "ነገ ትምህርት ቤት እንሄዳለን።",
    "ድመቷ ወተት ጠጣች።",
    "መንገዱ ረጅም ነው።",
    "አባቴ ከሥራ ተመለሰ።",
    "ሻይ ከቡና ይሻላል?",
    "ወንዙ ሞልቷል።",
)


def speech(
    seed: int = 0, *, seconds: float = 1.5, rate: int = 16000, level: float = 0.2, silence: float = 0.0
) -> np.ndarray:
    """Syllables of a gliding harmonic tone with noise 60 dB below, (T,) float32; `silence` seconds at both ends."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 110 + 80 * random.random() + 20 * np.sin(2 * np.pi * (0.4 + random.random()) * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase + random.random()) / k for k in range(1, 9))
    syllables = 0.25 + np.abs(np.sin(2 * np.pi * (1.5 + random.random()) * time + random.random()))
    wave = voice * syllables
    wave = level * wave / np.max(np.abs(wave))
    ends = np.zeros(round(silence * rate))
    wave = np.concatenate([ends, wave, ends])
    return (wave + level * 1e-3 * random.standard_normal(len(wave))).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray, *, rate: int = 16000, subtype: str = "PCM_16") -> Path:
    """Writes a file of the format that its name says; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype if path.suffix == ".wav" else None)
    return path


def make_corpus(
    folder: Path, count: int = 6, *, header: str = "audio_file|text", seconds: float = 1.0
) -> Path:
    """A corpus folder with `count` good clips in `wavs/` and a metadata.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [header] if header else []
    for number in range(count):
        write_wav(
            folder / f"wavs/clip{number:02}.wav", speech(number, seconds=seconds + number * 0.01, silence=0.2)
        )
        lines.append(
            f"wavs/clip{number:02}.wav|{SENTENCES[number % len(SENTENCES)]}{'' if number < 12 else number}"
        )
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def add_line(folder: Path, line: str) -> None:
    """Appends a line to the corpus' metadata.csv."""
    with (folder / "metadata.csv").open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")
