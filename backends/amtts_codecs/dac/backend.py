"""DAC as a backend: trained, or trained on, by the same trainer as a voice, without text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from amtts_codecs.dac.codec import DacCodec
from amtts_codecs.dac.config import PRESETS, SAMPLE_RATE, DacSettings
from amtts_codecs.dac.learner import DacLearner
from amtts_codecs.dac.network import DacNetwork, dac_config, plain_codec, unfolded
from amtts_codecs.requests import codes_of
from amtts_core.audio.pcm import from_pcm16, to_pcm16
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import BatchStatistics, Export, FineTuning, ReferenceChecks
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TrainingExamples
from amtts_core.errors import AmttsError

NAME = "dac"


class DacBackend(Backend[DacSettings]):
    """Learns codes of waveforms. What it speaks is codes: a request's tokens are the codes, frame by frame."""

    spec: ClassVar[BackendSpec[DacSettings]] = BackendSpec(
        name=NAME,
        summary="speech codec: DAC at 16 kHz, from scratch or from the published weights",
        sample_rate=SAMPLE_RATE,
        learns_from="waveform",
        config=DacSettings,
        presets=PRESETS,
        text=None,
        batch_statistics=BatchStatistics(),
        export=Export(formats=("hf",)),
        reference_checks=ReferenceChecks(),
        training_defaults={
            "data": {"batch_seconds": 250.0, "max_utterances": 16},
            "training": {
                "max_steps": 100_000,
                "sample_every": 0,  # there is no text to speak
                "validate_every": 500,
                "save_every": 500,
                "best_by": "val/generator/mel",
                "optim": {
                    "learning_rate": 1e-4,
                    "betas": (0.8, 0.99),
                    "schedule": "exponential",
                    "final_ratio": 0.5,
                    "clip_norm": 1000.0,
                },
            },
        },
        fine_tuning=FineTuning(init_weight_settings={"start": ""}),
        weights_license="MIT when started from the published weights of descript-audio-codec; none from scratch",
    )

    network: DacNetwork

    def build_network(self) -> DacNetwork:
        """Tokenizer and speakers do not matter to it."""
        return DacNetwork(self.config)

    def initialize(self, examples: TrainingExamples) -> None:
        """Loads the weights that `config.start` names."""
        if self.config.start:
            _start(self.network, self.config)

    def as_codec(self) -> DacCodec:
        """Itself as a codec: a copy of its present weights."""
        return DacCodec(plain_codec(self.network), num_codebooks=self.config.num_codebooks)

    def features(self, waveform: np.ndarray) -> Features:
        """`waveform`: 16-bit samples (T,)."""
        return Features(arrays={"waveform": to_pcm16(waveform)})

    def feature_key(self) -> str:
        """No setting changes the stored samples."""
        return f"int16-{SAMPLE_RATE}"

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """At least one code frame."""
        needed, samples = self.config.hop, lengths["waveform"]
        return "" if samples >= needed else f"{samples} samples are too few for one code frame ({needed})"

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Code frames."""
        return -(-lengths["waveform"] // self.config.hop)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`waveform` (B, T) in [-1, 1], `lengths` (B,) samples."""
        waves = [np.asarray(example.features["waveform"]).reshape(-1) for example in examples]
        padded = torch.zeros(len(waves), max(len(wave) for wave in waves))
        for row, wave in enumerate(waves):
            padded[row, : len(wave)] = torch.from_numpy(from_pcm16(wave))
        return {
            "ids": [example.id for example in examples],
            "waveform": padded,
            "lengths": torch.tensor([len(wave) for wave in waves]),
        }

    def learner(self) -> DacLearner:
        """The training view."""
        return DacLearner(self.network, self.config)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """Codes to waveforms: tokens are K codes a frame, frame after frame."""
        codes = [codes_of(request, self.config.num_codebooks) for request in requests]
        codec, device = self.as_codec(), self.device
        return [codec.decode(one.to(device))[0].float().cpu().numpy() for one in codes]

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Codes, latents and audio of a bundle made with the original package."""
        return DacCodec.reference_checks(folder)

    def export(self, folder: Path, *, format: str) -> None:
        """`hf`: a folder that `transformers.DacModel.from_pretrained` reads."""
        shown = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()
        try:
            plain_codec(self.network).save_pretrained(folder)
        finally:
            if shown:
                transformers_logging.enable_progress_bar()


def _start(network: DacNetwork, config: DacSettings) -> None:
    """Copies the codec's weights from `config.start`; the discriminators stay fresh.

    Raises:
        AmttsError: its sizes are not the settings'.
    """
    given = DacCodec.open(Path(config.start)).network
    wanted = dac_config(config)
    for setting, ours in (
        ("encoder_channels", "encoder_hidden_size"),
        ("strides", "downsampling_ratios"),
        ("decoder_channels", "decoder_hidden_size"),
        ("num_codebooks", "n_codebooks"),
        ("cardinality", "codebook_size"),
        ("code_dim", "codebook_dim"),
    ):
        there, here = getattr(given.config, ours), getattr(wanted, ours)
        if there != here:
            raise AmttsError(
                f"model.start {config.start} has {setting} {there}, the settings say {here}",
                remedy=f"Set model.{setting}={str(there).replace(' ', '')}",
            )
    if given.config.sampling_rate != SAMPLE_RATE:
        raise AmttsError(
            f"model.start {config.start} codes {given.config.sampling_rate} Hz; "
            f"training is for {SAMPLE_RATE} Hz models"
        )
    state = unfolded(given.state_dict(), set(network.codec.state_dict()))
    load_strict(network.codec, state, backend=NAME)
