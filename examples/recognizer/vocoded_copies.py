"""Copies of recordings through vocoders and codecs, so that a recognizer learns to read speech that came out of one.

    python examples/recognizer/vocoded_copies.py SOURCE/metadata.csv OUT --share 0.3

SOURCE/metadata.csv has the columns audio_file|text, or audio_file|text|speaker_name. A share of its lines, drawn by
--seed, is copied: in turn through Griffin-Lim from the mels of chatterbox-mel, through the codec mel-codes-am and
through the codec tiny-dac-16k. OUT gets audio/ and a metadata.csv of the same columns. Files that are there are kept.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from amtts_core.audio.griffin_lim import griffin_lim
from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.contract.codec_registry import open_codec

CODECS = Path(__file__).resolve().parents[1] / "codecs"


class Copies:
    """The ways to copy."""

    def __init__(self) -> None:
        self.ways = (self.griffin_lim, self.griffin_lim, self.mel_codes, self.dac)
        self._codecs = {
            name: open_codec(name, CODECS / folder)
            for name, folder in (("mel-codes", "mel-codes-am"), ("dac", "tiny-dac-16k"))
        }

    def griffin_lim(self, waveform: np.ndarray, rate: int, seed: int) -> tuple[np.ndarray, int]:
        """Through the mels of a 22.05 kHz voice and Griffin-Lim."""
        config = MelConfig()
        source = torch.from_numpy(soxr.resample(waveform, rate, config.sample_rate))
        mel = log_mel(source[None], config)[0]
        return griffin_lim(mel, config, iterations=32, seed=seed).numpy(), config.sample_rate

    def mel_codes(self, waveform: np.ndarray, rate: int, seed: int) -> tuple[np.ndarray, int]:
        """Through one codebook of mels."""
        return self._codec("mel-codes", waveform, rate)

    def dac(self, waveform: np.ndarray, rate: int, seed: int) -> tuple[np.ndarray, int]:
        """Through four codebooks of a small DAC."""
        return self._codec("dac", waveform, rate)

    def _codec(self, name: str, waveform: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
        codec = self._codecs[name]
        source = torch.from_numpy(soxr.resample(waveform, rate, codec.sample_rate))
        with torch.inference_mode():
            return codec.decode(codec.encode(source[None]))[0].numpy(), codec.sample_rate


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; 0 done, 2 a mistake of the caller."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="metadata.csv of the recordings")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument(
        "--share", type=float, default=0.3, help="share of the lines that are copied (default 0.3)"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        head, *lines = options.table.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        print(f"error: {options.table}: {error.strerror}", file=sys.stderr)
        return 2
    chance, copies = random.Random(options.seed), Copies()
    chosen = [line for line in lines if chance.random() < options.share]
    (options.out / "audio").mkdir(parents=True, exist_ok=True)
    rows = [head]
    for number, line in enumerate(chosen):
        name, rest = line.split("|", 1)
        target = options.out / "audio" / f"{number:05d}.ogg"
        rows.append(f"audio/{target.name}|{rest}")
        if not target.exists():
            waveform, rate = soundfile.read(options.table.parent / name, dtype="float32")
            copy, rate = copies.ways[number % len(copies.ways)](waveform, rate, number)
            soundfile.write(target, np.clip(copy, -1, 1), rate)
        if number % 50 == 49:
            print(f"{number + 1} of {len(chosen)}", flush=True)
    (options.out / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(chosen)} copies: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
