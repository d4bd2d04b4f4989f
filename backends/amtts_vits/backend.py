"""VITS as a backend: features, batches, weights, speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import VitsModel

from amtts_core.audio.pcm import to_pcm16
from amtts_core.checkpoints.checkpoint import loaded
from amtts_core.contract.backend import (
    BackendSpec,
    Batch,
    Example,
    Features,
    SynthesisRequest,
    TextRows,
    required_tokenizer,
    speaker_index,
)
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.finetune.init_weights import PublishedStart
from amtts_vits.batches import collate, with_blanks
from amtts_vits.config import PRESETS, SAMPLE_RATE, VitsSettings
from amtts_vits.inference import Utterance, decode_in_chunks, latents, speak
from amtts_vits.learner import VitsLearner
from amtts_vits.network import VitsNetwork, separate_copy
from amtts_vits.weights import fold_norm

NAME = "vits"
EMBEDDING = "generator.text_encoder.embed_tokens.weight"


class VitsBackend:
    """End to end; speaks in real time on one CPU core in its small size; starts from MMS-TTS or from scratch."""

    spec: ClassVar[BackendSpec] = BackendSpec(
        name=NAME,
        summary="text to waveform in one network (VITS); fine-tunes MMS-TTS and any Hugging Face VITS",
        sample_rate=SAMPLE_RATE,
        learns_from="waveform",
        config=VitsSettings,
        adjustable=(
            "hidden_dropout",
            "duration_predictor_dropout",
            "loss",
            "noise_scale",
            "noise_scale_duration",
            "segment_frames",
        ),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_frames": 4000, "max_utterances": 32},
            "training": {
                "max_steps": 100_000,
                "validate_every": 1000,
                "save_every": 1000,
                "sample_every": 1000,
                "best_by": "val/generator/mel",
                "optim": {
                    "learning_rate": 2e-4,
                    "betas": (0.8, 0.99),
                    "schedule": "exponential",
                    "final_ratio": 0.1,
                    "clip_norm": 1000.0,
                },
            },
        },
        lora_targets=(r"generator\.text_encoder\..*\.(q_proj|k_proj|v_proj|out_proj)",),
        speaker_rows=("generator.embed_speaker.weight",),
        speaker_layers=(".cond.", ".cond_layer."),
        only_for_training=("discriminator.",),
        rate=attrgetter("mel.sample_rate"),
        without_start={"start": "", "start_discriminator": ""},
        weights_licence="CC-BY-NC 4.0 when started from MMS-TTS (facebook/mms-tts-*); none from scratch",
    )

    def __init__(
        self, config: VitsSettings, tokenizer: TextTokenizer, speakers: Sequence[str], network: VitsNetwork
    ) -> None:
        self.config = config
        self.text_tokenizer = tokenizer
        self.speakers = list(speakers)
        self.network = network
        self._folded: tuple[tuple[int, int, torch.device], VitsModel] | None = None

    @classmethod
    def build(
        cls, config: Any, *, tokenizer: TextTokenizer | None, speakers: Sequence[str] = ()
    ) -> VitsBackend:
        """A network with the weights that `config.start` names, or fresh ones."""
        backend = cls._fresh(config, tokenizer=tokenizer, speakers=speakers)
        if config.start:
            from amtts_vits.start import start_generator

            start_generator(backend.network, config, backend.text_tokenizer)
        if config.start_discriminator and backend.network.discriminator is not None:
            from amtts_vits.start import start_discriminator

            start_discriminator(backend.network.discriminator, config.start_discriminator, config)
        return backend

    @classmethod
    def _fresh(
        cls, config: VitsSettings, *, tokenizer: TextTokenizer | None, speakers: Sequence[str]
    ) -> VitsBackend:
        tokenizer = required_tokenizer(tokenizer, backend=NAME)
        network = VitsNetwork(config, vocab_size=tokenizer.vocab_size, num_speakers=len(speakers))
        return cls(config, tokenizer, speakers, network)

    @classmethod
    def load(
        cls,
        config: Any,
        weights: Mapping[str, Tensor],
        *,
        tokenizer: TextTokenizer | None,
        speakers: Sequence[str] = (),
    ) -> VitsBackend:
        """The network with `weights` loaded strictly."""
        return loaded(cls._fresh(config, tokenizer=tokenizer, speakers=speakers), weights)

    def text_rows(self) -> tuple[TextRows, ...]:
        """The text embedding; there is no head."""
        return (TextRows(EMBEDDING, "embedding"),)

    def speech_codec(self) -> None:
        """None: it learns waveforms."""
        return None

    @classmethod
    def features(cls, config: Any, waveform: np.ndarray) -> Features:
        """`waveform`: 16-bit samples (T,). Spectrograms are made with the batch; storing them costs 4 x the space."""
        return Features(arrays={"waveform": to_pcm16(waveform)})

    @classmethod
    def feature_key(cls, config: Any) -> str:
        """Of all settings only the rate changes the stored samples."""
        return f"int16-{config.mel.sample_rate}"

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """The alignment gives every symbol and every blank a frame, so there must be enough of them."""
        needed, frames = 2 * num_tokens + 1, self.num_frames(lengths)
        return "" if frames >= needed else f"{frames} frames are too few for {needed} symbols and blanks"

    def fit(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Nothing: waveforms are taken as they are."""

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Spectrogram frames."""
        return lengths["waveform"] // self.config.mel.hop

    def collate(self, examples: Sequence[Example]) -> Batch:
        """See `batches.collate`; with several speakers also `speakers` (B,)."""
        batch = collate(examples, self.config)
        if len(self.speakers) > 1:
            batch["speakers"] = torch.tensor([speaker_index(e.speaker, self.speakers) for e in examples])
        return batch

    def blocks(self) -> Sequence[nn.Module]:
        """The wide parts of the generator."""
        model = self.network.generator  # not the critics: whether they learn differs within a step
        return [model.posterior_encoder.wavenet, *model.flow.flows, *model.decoder.resblocks]

    def learner(self) -> VitsLearner:
        """The training view."""
        return VitsLearner(self.network, self.config)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) per request, the same alone and in company."""
        utterances = [self.utterance(request) for request in requests]
        return [spoken.waveform.float().cpu().numpy() for spoken in speak(self.folded(), utterances)]

    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """The samples of `synthesize`, piece by piece as they are made; joined, they are the same."""
        model = self.folded()
        latent = latents(model, [self.utterance(request)])[0]
        for piece in decode_in_chunks(model, latent.frames, latent.speaker):
            yield piece.float().cpu().numpy()

    def utterance(self, request: SynthesisRequest) -> Utterance:
        """A request with blanks between its symbols and the settings' variation."""
        return Utterance(
            tokens=with_blanks(request.tokens),
            speed=request.speed,
            seed=request.seed,
            speaker=speaker_index(request.speaker, self.speakers),
            noise_scale=self.config.noise_scale,
            noise_scale_duration=self.config.noise_scale_duration,
        )

    def folded(self) -> VitsModel:
        """A copy of the generator in evaluation mode with weight norm multiplied out; made anew after each step."""
        parameters = list(self.network.generator.parameters())
        state = (sum(p._version for p in parameters), parameters[0].data_ptr(), parameters[0].device)
        if self._folded is None or self._folded[0] != state:
            self._folded = None  # frees the old one first
            model = separate_copy(self.network.generator)
            fold_norm(model)
            self._folded = (state, model)
        return self._folded[1]

    @classmethod
    def published_start(cls, path: Path) -> PublishedStart:
        """A Hugging Face VITS folder; see `start`."""
        from amtts_vits.start import published_start

        return published_start(path)

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Compares tensors, losses, gradients, optimiser steps and waveforms with a bundle."""
        from amtts_vits.reference import compare

        return compare(folder)

    def export(self, folder: Path, *, format: str) -> None:
        """Writes the generator in a foreign format, and checks what was written by running it."""
        from amtts_vits.export import FORMATS

        if format not in FORMATS:
            raise AmttsError(
                f"backend '{NAME}' cannot be exported as '{format}'; known formats: {', '.join(FORMATS)}"
            )
        FORMATS[format](self.network.generator, self.text_tokenizer, folder, self.speakers)
