"""VITS as a backend: features, batches, weights, speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from amtts_core.audio.pcm import to_pcm16
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import (
    Blocks,
    CopySynthesis,
    Export,
    FineTuning,
    ReferenceChecks,
    SpeakerConditioning,
    SpeakerFolding,
    Streaming,
)
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TextTensor, TrainingExamples
from amtts_vits.batches import collate, with_blanks
from amtts_vits.config import PRESETS, VitsSettings
from amtts_vits.generator import speaker_vectors
from amtts_vits.inference import Utterance, decode_in_chunks, latents, speak
from amtts_vits.learner import VitsLearner
from amtts_vits.modules import Generator
from amtts_vits.network import VitsNetwork, folded_copy
from amtts_vits.published import PUBLISHED
from amtts_vits.spectrogram import linear_spectrogram
from amtts_vits.start_speakers import TABLE, folded
from amtts_vits.usage import USAGE

NAME = "vits"
EMBEDDING = "generator.text_encoder.embed_tokens.weight"


class VitsBackend(Backend[VitsSettings]):
    """End to end; speaks in real time on one CPU core in its small size; starts from MMS-TTS or from scratch."""

    spec: ClassVar[BackendSpec[VitsSettings]] = BackendSpec(
        name=NAME,
        summary="text to waveform in one network (VITS); fine-tunes MMS-TTS and any Hugging Face VITS",
        sample_rate=attrgetter("mel.sample_rate"),
        learns_from="waveform",
        config=VitsSettings,
        mutable_settings=(
            "hidden_dropout",
            "duration_predictor_dropout",
            "loss",
            "noise_scale",
            "noise_scale_duration",
            "segment_frames",
        ),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_seconds": 64.0, "max_utterances": 32},
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
        speakers=SpeakerConditioning(
            tables=("generator.embed_speaker.weight",), layers=(".cond.", ".cond_layer.")
        ),
        speaker_folding=SpeakerFolding(),
        streaming=Streaming(),
        copy_synthesis=CopySynthesis(),
        blocks=Blocks(),
        fine_tuning=FineTuning(
            lora_targets=(r"generator\.text_encoder\..*\.(q_proj|k_proj|v_proj|out_proj)",),
            training_only_prefixes=("discriminator.",),
            init_weight_settings={"start": "", "start_discriminator": ""},
        ),
        published=PUBLISHED,
        export=Export(formats=("hf", "onnx", "piper", "sherpa-onnx"), usage=USAGE),
        reference_checks=ReferenceChecks(),
        weights_license="CC-BY-NC 4.0 when started from MMS-TTS (facebook/mms-tts-*); none from scratch",
    )

    network: VitsNetwork
    _folded: tuple[tuple[int, int, torch.device], Generator] | None = None

    def build_network(self) -> VitsNetwork:
        """Randomly initialized, as published."""
        return VitsNetwork(
            self.config, vocab_size=self.tokenizer.vocab_size, num_speakers=self.speakers.num_embeddings
        )

    def initialize(self, examples: TrainingExamples) -> None:
        """Loads the weights that `config.start` and `config.start_discriminator` name."""
        from amtts_vits.start import start_discriminator, start_generator

        if self.config.start:
            start_generator(self.network, self.config, self.tokenizer)
        if self.config.start_discriminator and self.network.discriminator is not None:
            start_discriminator(self.network.discriminator, self.config.start_discriminator, self.config)

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """The text embedding; there is no head."""
        return (TextTensor(EMBEDDING, "embedding"),)

    def features(self, waveform: np.ndarray) -> Features:
        """`waveform`: 16-bit samples (T,). Spectrograms are made with the batch; storing them costs 4 x the space."""
        return Features(arrays={"waveform": to_pcm16(waveform)})

    def feature_key(self) -> str:
        """Of all settings only the rate changes the stored samples."""
        return f"int16-{self.config.mel.sample_rate}"

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """The alignment gives every symbol and every blank a frame, so there must be enough of them."""
        needed, frames = 2 * num_tokens + 1, self.num_frames(lengths)
        return "" if frames >= needed else f"{frames} frames are too few for {needed} symbols and blanks"

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Spectrogram frames."""
        return lengths["waveform"] // self.config.mel.hop

    def collate(self, examples: Sequence[Example]) -> Batch:
        """See `batches.collate`; with several speakers also `speakers` (B,)."""
        batch = collate(examples, self.config)
        if self.speakers.num_embeddings:
            batch["speakers"] = torch.tensor([example.speaker for example in examples])
        return batch

    def blocks(self) -> Sequence[nn.Module]:
        """The wide parts of the generator."""
        model = self.network.generator  # not the discriminators: whether they learn differs within a step
        return [model.posterior_encoder.wavenet, *model.flow.flows, *model.decoder.resblocks]

    def fold_speaker(self, weights: Mapping[str, Tensor], *, speaker: int | None) -> dict[str, Tensor]:
        """What the embedding of a speaker adds goes into biases, so that speech is the same."""
        prefix = "generator."
        generator = {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}
        table = generator[TABLE].float()
        single = folded(generator, table.mean(0) if speaker is None else table[speaker])
        rest = {name: tensor for name, tensor in weights.items() if not name.startswith(prefix)}
        return {f"{prefix}{name}": tensor for name, tensor in single.items()} | rest

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

    @torch.inference_mode()
    def copy_synthesis(self, waveform: np.ndarray) -> np.ndarray:
        """A recording (T,) through the mean of its latent and the decoder, in the first voice."""
        model, mel = self.folded(), self.config.mel
        samples = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))[None].to(self.device)
        spectrogram = linear_spectrogram(samples, mel)
        first = torch.zeros(1, dtype=torch.long, device=self.device) if self.speakers.num_embeddings else None
        speaker = speaker_vectors(model, first)
        mask = torch.ones_like(spectrogram[:, :1])
        mean, _ = model.posterior_encoder(spectrogram, mask, speaker).chunk(2, dim=1)
        return model.decoder(mean, speaker)[0, 0].float().cpu().numpy()

    def utterance(self, request: SynthesisRequest) -> Utterance:
        """A request with blanks between its symbols and the settings' variation."""
        return Utterance(
            tokens=with_blanks(request.tokens),
            speed=request.speed,
            seed=request.seed,
            speaker=request.speaker,
            noise_scale=self.config.noise_scale,
            noise_scale_duration=self.config.noise_scale_duration,
        )

    def folded(self) -> Generator:
        """A copy of the generator in evaluation mode with weight norm multiplied out; made anew after each step."""
        parameters = list(self.network.generator.parameters())
        state = (sum(p._version for p in parameters), parameters[0].data_ptr(), parameters[0].device)
        if self._folded is None or self._folded[0] != state:
            self._folded = None  # frees the old one first
            self._folded = (state, folded_copy(self.network.generator))
        return self._folded[1]

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Compares tensors, losses, gradients, optimizer steps and waveforms with a bundle."""
        from amtts_vits.reference import compare

        return compare(folder)

    def export(self, folder: Path, *, format: str) -> None:
        """Writes the generator in a foreign format, and checks what was written by running it."""
        from amtts_vits.export import FORMATS

        write = FORMATS[format]
        write(
            self.network.generator, self.tokenizer, folder, list(self.speakers.names), self.untrained_tokens
        )
