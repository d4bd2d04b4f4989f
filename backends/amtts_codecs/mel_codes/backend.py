"""mel-codes as a backend: trained by the same trainer as a voice, without text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from amtts_codecs.mel_codes.codec import NAME, MelCodesCodec, vocoder_of
from amtts_codecs.mel_codes.config import PRESETS, SAMPLE_RATE, MelCodesConfig
from amtts_codecs.mel_codes.learner import MelCodesLearner
from amtts_codecs.mel_codes.network import MelCodes
from amtts_codecs.requests import codes_of
from amtts_core.audio.mel import mel_features
from amtts_core.audio.mel_vocoder import MelVocoder
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import BatchStatistics, CheckpointFiles, VocoderChoice
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TrainingExamples


class MelCodesBackend(Backend[MelCodesConfig]):
    """Learns codes of log-mels. What it speaks is codes: a request's tokens are the codes, frame by frame."""

    spec: ClassVar[BackendSpec[MelCodesConfig]] = BackendSpec(
        name=NAME,
        summary="speech codec: vector-quantised log-mels; trains on a CPU in minutes",
        sample_rate=SAMPLE_RATE,
        learns_from="mel",
        config=MelCodesConfig,
        mutable_settings=(
            "segment",
            "commitment_weight",
            "codebook_decay",
            "restart_below",
            "griffin_lim_iterations",
            "vocoder",
        ),
        presets=PRESETS,
        text=None,
        batch_statistics=BatchStatistics(),
        vocoder=VocoderChoice(),
        checkpoint_files=CheckpointFiles(),
        training_defaults={
            "data": {"batch_seconds": 128.0, "max_utterances": 16},
            "training": {
                "max_steps": 2000,
                "sample_every": 0,  # there is no text to speak
                "optim": {"learning_rate": 1.5e-3, "warmup_steps": 50, "final_ratio": 0.03},
            },
        },
    )

    network: MelCodes

    def build_network(self) -> MelCodes:
        """Tokenizer and speakers do not matter to it."""
        return MelCodes(self.config)

    def as_codec(self) -> MelCodesCodec:
        """Itself as a codec, in whatever mode its network is."""
        return MelCodesCodec(
            self.config, self.network, num_codebooks=self.config.num_codebooks, vocoder=self.vocoder
        )

    @cached_property
    def vocoder(self) -> MelVocoder:
        """What its mels are spoken through."""
        return vocoder_of(self.config)

    def choose_vocoder(self, choice: str) -> None:
        """Speaks through another vocoder from now on."""
        self.vocoder.choose(choice)

    def write_files(self, checkpoint: Path) -> None:
        """A copy of the vocoder's weights."""
        self.vocoder.write_copy(checkpoint)

    def read_files(self, checkpoint: Path, *, changed: Collection[str]) -> None:
        """Speaks through the checkpoint's copy of the vocoder."""
        if "vocoder" not in changed:
            self.vocoder.use_copy(checkpoint)

    def features(self, waveform: np.ndarray) -> Features:
        """`mel`: natural-log mels (L, M) of a waveform (T,)."""
        return Features(arrays={"mel": mel_features(waveform, self.config.mel)})

    def feature_key(self) -> str:
        """The mel settings."""
        return self.config.mel.model_dump_json()

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """At least one code frame."""
        needed, frames = self.config.stride, lengths["mel"]
        return "" if frames >= needed else f"{frames} mel frames are too few for one code ({needed})"

    def initialize(self, examples: TrainingExamples) -> None:
        """Sets the mean and standard deviation of each mel channel."""
        statistics = examples.statistics()
        self.network.mel_mean.copy_(torch.from_numpy(statistics["mel_mean"]))
        self.network.mel_std.copy_(torch.from_numpy(statistics["mel_std"]))

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`mel` (B, L, M) natural log, `mel_lengths` (B,)."""
        mels = [example.features["mel"] for example in examples]
        padded = torch.zeros(len(mels), max(len(m) for m in mels), mels[0].shape[1])
        for row, mel in enumerate(mels):
            padded[row, : len(mel)] = torch.from_numpy(mel)
        return {
            "ids": [example.id for example in examples],
            "mel": padded,
            "mel_lengths": torch.tensor([len(m) for m in mels]),
        }

    def learner(self) -> MelCodesLearner:
        """The training view. A vocoder that is missing or made for other mels is an error before training begins."""
        self.vocoder.opened()
        return MelCodesLearner(self.network, self.config)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """Codes to waveforms: tokens are K codes a frame, frame after frame. Speed is the voice's business."""
        codec, num_codebooks = self.as_codec(), self.config.num_codebooks
        waves = []
        for request in requests:
            codes = codes_of(request, num_codebooks).to(self.device)
            mel = codec.decode_mel(codes)[0]
            waves.append(codec.speak(mel, seed=request.seed).numpy())
        return waves
