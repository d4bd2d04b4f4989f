"""Vocoders on one thread: CPU seconds of work per second of speech, and those to the first piece of a stream."""

from __future__ import annotations

import statistics
import time

import torch

from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.contract.vocoder import Vocoder
from amtts_vocoders.griffin_lim import GriffinLim
from amtts_vocoders.neural.backend import VocoderBackend
from amtts_vocoders.neural.config import PRESETS, VocoderConfig
from amtts_vocoders.neural.vocoder import NeuralVocoder

RUNS = 7
SECONDS = 5.0


def main() -> None:
    """Prints one line a vocoder."""
    torch.set_num_threads(1)
    config = MelConfig()
    frames = round(SECONDS * config.frame_rate)
    mel = log_mel(torch.randn(1, frames * config.hop) * 0.05, config)[0]
    vocoders: dict[str, Vocoder] = {"griffin-lim": GriffinLim(config.format)}
    for preset in PRESETS:
        settings = VocoderConfig.model_validate(PRESETS[preset])
        vocoders[f"vocoder {preset}"] = NeuralVocoder(VocoderBackend(settings).network.speaker)
    for name, vocoder in vocoders.items():
        whole, first = [], []
        for _ in range(RUNS):
            began = time.process_time()
            vocoder.vocode(mel)
            whole.append((time.process_time() - began) / SECONDS)
            began = time.process_time()
            next(iter(vocoder.stream([mel])))
            first.append(time.process_time() - began)
        print(
            f"{name}: real-time factor {statistics.median(whole):.4f} (best {min(whole):.4f}), first sound after "
            f"{1000 * statistics.median(first):.0f} ms (best {1000 * min(first):.0f}), 1 thread"
        )


if __name__ == "__main__":
    main()
