"""The vocoder as a backend: trained by the same trainer as a voice, without text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from amtts_core.audio.mel import LOG_FLOOR
from amtts_core.audio.pcm import from_pcm16
from amtts_core.checkpoints.checkpoint import loaded
from amtts_core.contract.backend import (
    BackendSpec,
    Batch,
    Example,
    Features,
    SynthesisRequest,
    TextRows,
    speaker_index,
)
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.vocoder import MelFormat
from amtts_core.errors import AmttsError
from amtts_vocoders.neural.config import PRESETS, VocoderConfig
from amtts_vocoders.neural.features import UNITS_PER_HERTZ, vocoder_features
from amtts_vocoders.neural.learner import TrainableVocoder, VocoderLearner

NAME = "vocoder"
SAMPLE_RATE = 22050


class VocoderBackend:
    """Learns waveforms from their mels. It has no text and no codes, so it speaks no request."""

    spec: ClassVar[BackendSpec] = BackendSpec(
        name=NAME,
        summary="vocoder: mel to waveform; harmonic source, ConvNeXt, inverse STFT; trains on a CPU in hours",
        sample_rate=SAMPLE_RATE,
        learns_from="waveform",
        config=VocoderConfig,
        rate=lambda config: config.mel.sample_rate,
        adjustable=(
            "training_projections",
            "segment",
            "predicted_pitch",
            "gain",
            "loss",
        ),
        presets=PRESETS,
        tokenizers=(),
        only_for_training=("discriminators.",),
        training_defaults={
            "data": {"batch_frames": 8000, "max_utterances": 6},
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

    def __init__(self, config: VocoderConfig, network: TrainableVocoder) -> None:
        self.config = config
        self.network = network
        self.text_tokenizer: TextTokenizer | None = None

    @classmethod
    def build(
        cls, config: Any, *, tokenizer: TextTokenizer | None = None, speakers: Sequence[str] = ()
    ) -> VocoderBackend:
        """A fresh network; tokenizer and speakers do not matter to it."""
        return cls(config, TrainableVocoder(config))

    @classmethod
    def load(
        cls,
        config: Any,
        weights: Mapping[str, Tensor],
        *,
        tokenizer: TextTokenizer | None = None,
        speakers: Sequence[str] = (),
    ) -> VocoderBackend:
        """The network with `weights` loaded strictly."""
        return loaded(cls.build(config), weights)

    def text_rows(self) -> tuple[TextRows, ...]:
        """None: it reads no text."""
        return ()

    def speech_codec(self) -> None:
        """None: it learns from waveforms."""
        return None

    @classmethod
    def features(cls, config: Any, waveform: np.ndarray) -> Features:
        """Samples, pitch and voicing of a waveform (T,)."""
        return vocoder_features(config, waveform)

    @classmethod
    def feature_key(cls, config: Any) -> str:
        """Rate, hop and the range of the pitch."""
        return f"2-int16-{config.mel.sample_rate}-{config.mel.hop}-{config.pitch.low:g}-{config.pitch.high:g}"

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """At least a window of samples."""
        needed, samples = self.config.mel.n_fft, lengths["waveform"]
        return "" if samples >= needed else f"{samples} samples are too few for one window ({needed})"

    def fit(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Nothing: its inputs are scaled by fixed numbers."""

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

    takes_predicted_mels: ClassVar[Literal[True]] = True

    @property
    def mel_format(self) -> MelFormat:
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
        for request in requests:
            speaker_index(request.speaker, ())
        raise AmttsError(
            f"backend '{NAME}' turns mels into waveforms and reads no text",
            remedy="Speak with a checkpoint of a voice and --vocoder DIR",
        )

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Always an error: nobody else's numbers exist."""
        raise AmttsError(f"backend '{NAME}' defines no reference bundle, so {folder} cannot be compared")

    def export(self, folder: Path, *, format: str) -> None:
        """No foreign format reads this network."""
        raise AmttsError(f"backend '{NAME}' cannot be exported as '{format}'; known formats: none")


def _padded(rows: Sequence[np.ndarray]) -> Tensor:
    padded = torch.zeros(len(rows), max(len(row) for row in rows))
    for number, row in enumerate(rows):
        padded[number, : len(row)] = torch.from_numpy(np.asarray(row, dtype=np.float32))
    return padded
