"""The vocoder as a backend: trained by the same trainer as a voice, without text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from amtts_core.audio.mel import LOG_FLOOR
from amtts_core.audio.pcm import from_pcm16
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import Blocks, FineTuning, MelInput
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest
from amtts_core.contract.vocoder import MelFormat
from amtts_core.errors import AmttsError
from amtts_vocoders.neural.config import PRESETS, VocoderConfig
from amtts_vocoders.neural.features import UNITS_PER_HERTZ, vocoder_features
from amtts_vocoders.neural.learner import TrainableVocoder, VocoderLearner

NAME = "vocoder"


class VocoderBackend(Backend[VocoderConfig]):
    """Learns waveforms from their mels. It has no text and no codes, so it speaks no request."""

    spec: ClassVar[BackendSpec[VocoderConfig]] = BackendSpec(
        name=NAME,
        summary="vocoder: mel to waveform; harmonic source, ConvNeXt, inverse STFT; trains on a CPU in hours",
        sample_rate=lambda config: config.mel.sample_rate,
        learns_from="waveform",
        config=VocoderConfig,
        mutable_settings=(
            "training_projections",
            "segment",
            "predicted_pitch",
            "gain",
            "loss",
        ),
        presets=PRESETS,
        text=None,
        speaks=False,
        mel_input=MelInput(),
        blocks=Blocks(),
        fine_tuning=FineTuning(training_only_prefixes=("discriminators.",)),
        training_defaults={
            "data": {"batch_seconds": 90.0, "max_utterances": 6},
            "training": {
                "max_steps": 20_000,
                "sample_every": 0,  # there is no text to speak
                "validate_every": 500,
                "save_every": 500,
                "best_by": "val/generator/spectrum",
                "ema_decay": 0.998,
                "optim": {"learning_rate": 1e-3, "betas": (0.8, 0.99), "clip_norm": 10.0},
            },
        },
    )

    network: TrainableVocoder

    def build_network(self) -> TrainableVocoder:
        """Tokenizer and speakers do not matter to it."""
        return TrainableVocoder(self.config)

    def features(self, waveform: np.ndarray) -> Features:
        """Samples, pitch and voicing of a waveform (T,)."""
        return vocoder_features(self.config, waveform)

    def feature_key(self) -> str:
        """Rate, hop and the range of the pitch."""
        mel, pitch = self.config.mel, self.config.pitch
        return f"2-int16-{mel.sample_rate}-{mel.hop}-{pitch.low:g}-{pitch.high:g}"

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """At least a window of samples."""
        needed, samples = self.config.mel.n_fft, lengths["waveform"]
        return "" if samples >= needed else f"{samples} samples are too few for one window ({needed})"

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Mel frames."""
        return lengths["waveform"] // int(self.config.mel.hop)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`waveform` (B, T) in [-1, 1], `lengths` (B,) samples, `pitch` (B, L) Hz, `voicing` (B, L), `frames` (B,).

        With predicted mels also `mel` (B, L, M), natural log.
        """
        waves = [from_pcm16(np.asarray(example.features["waveform"]).reshape(-1)) for example in examples]
        pitches = [example.features["pitch"].reshape(-1) / UNITS_PER_HERTZ for example in examples]
        voicings = [example.features["voicing"].reshape(-1) / 255 for example in examples]
        batch: Batch = {
            "ids": [example.id for example in examples],
            "waveform": _padded(waves),
            "lengths": torch.tensor([len(wave) for wave in waves]),
            "pitch": _padded(pitches),
            "voicing": _padded(voicings),
            "frames": torch.tensor([len(pitch) for pitch in pitches]),
        }
        if all("mel" in example.features for example in examples):
            longest = int(batch["frames"].max())
            mels = torch.full((len(examples), longest, self.config.mel.n_mels), math.log(LOG_FLOOR))
            for row, example in enumerate(examples):
                mel = torch.from_numpy(example.features["mel"])[:longest]
                mels[row, : len(mel)] = mel
            batch["mel"] = mels
        return batch

    def input_mel_format(self) -> MelFormat:
        """Of the mels that it reads."""
        return self.config.mel.format

    def blocks(self) -> Sequence[nn.Module]:
        """ConvNeXt blocks."""
        speaker = self.network.speaker
        return [*speaker.pitch.body.blocks, *speaker.body.blocks]

    def learner(self) -> VocoderLearner:
        """The training view."""
        return VocoderLearner(self.network, self.config)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """Always an error: it speaks mels, not text."""
        raise AmttsError(
            f"backend '{NAME}' turns mels into waveforms and reads no text",
            remedy="Speak with a checkpoint of a voice and --vocoder DIR",
        )


def _padded(rows: Sequence[np.ndarray]) -> Tensor:
    padded = torch.zeros(len(rows), max(len(row) for row in rows))
    for number, row in enumerate(rows):
        padded[number, : len(row)] = torch.from_numpy(np.asarray(row, dtype=np.float32))
    return padded
