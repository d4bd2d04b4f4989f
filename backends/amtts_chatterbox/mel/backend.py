"""chatterbox-mel as a backend: features, batches, weights, speech."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from amtts_chatterbox.mel.config import PRESETS, SAMPLE_RATE, ChatterboxMelConfig
from amtts_chatterbox.mel.features import collated_voice, voice_features
from amtts_chatterbox.mel.flow import noise_of
from amtts_chatterbox.mel.learner import ChatterboxMelLearner, voice_of
from amtts_chatterbox.mel.network import ChatterboxMel, Voice, at_pace, whole_durations
from amtts_chatterbox.mel.pitch import SPREAD
from amtts_chatterbox.mel.usage import SHERPA_USAGE
from amtts_core.audio.mel import mel_features
from amtts_core.audio.mel_vocoder import MelVocoder
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import (
    Blocks,
    CheckpointFiles,
    CopySynthesis,
    Export,
    FineTuning,
    MelPrediction,
    PitchControl,
    SpeakerConditioning,
    VocoderChoice,
)
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TextTensor, TrainingExamples
from amtts_core.contract.vocoder import MelFormat
from amtts_core.errors import AmttsError

LITTLE_DATA = {
    "data": {"batch_seconds": 46.0},
    "training": {
        "max_steps": 600,
        "validate_every": 50,
        "save_every": 50,
        "patience": 4,
        "optim": {"learning_rate": 5e-4, "warmup_steps": 20, "weight_decay": 1e-2},
    },
}
"""A voice that exists learns a few minutes of a new speaker."""

RISING = 36
"""Frames over which the end of a question rises: 0.4 s, about two syllables."""


class ChatterboxMelBackend(Backend[ChatterboxMelConfig]):
    """Small, fast, trains on a CPU in minutes; speaks through Griffin-Lim or any vocoder for its mels."""

    spec: ClassVar[BackendSpec[ChatterboxMelConfig]] = BackendSpec(
        name="chatterbox-mel",
        summary="text encoder, alignment search, mel decoder; trains on a CPU in minutes",
        sample_rate=SAMPLE_RATE,
        learns_from="mel",
        config=ChatterboxMelConfig,
        mutable_settings=(
            "dropout",
            "duration_weight",
            "prior_weight",
            "griffin_lim_iterations",
            "vocoder",
            "contrast",
            "pitch.weight",
            "flow.weight",
            "flow.segment",
            "flow.steps",
            "flow.temperature",
        ),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_seconds": 46.0},
            "training": {"max_steps": 900, "optim": {"learning_rate": 2e-3, "weight_decay": 1e-4}},
        },
        speakers=SpeakerConditioning(tables=("speaker_embedding.weight",)),
        blocks=Blocks(),
        copy_synthesis=CopySynthesis(),
        vocoder=VocoderChoice(),
        pitch_control=PitchControl(),
        checkpoint_files=CheckpointFiles(),
        mel_prediction=MelPrediction(),
        export=Export(formats=("onnx", "sherpa-onnx", "piper"), usage={"sherpa-onnx": SHERPA_USAGE}),
        fine_tuning=FineTuning(lora_targets=("widen", "narrow"), training_defaults=LITTLE_DATA),
    )

    network: ChatterboxMel

    def build_network(self) -> ChatterboxMel:
        """Its embedding has one row per token."""
        return ChatterboxMel(
            self.config, num_tokens=self.tokenizer.vocab_size, num_speakers=self.speakers.num_embeddings
        )

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """The text embedding; there is no head."""
        return (TextTensor("text_embedding.weight", "embedding"),)

    def features(self, waveform: np.ndarray) -> Features:
        """`mel`: natural-log mels (L, M) of a waveform (T,); with a pitch, also `pitch` and `voicing` (L,)."""
        arrays = {"mel": mel_features(waveform, self.config.mel)}
        if self.config.pitch.layers:
            arrays |= voice_features(waveform, self.config, frames=len(arrays["mel"]))
        return Features(arrays=arrays)

    def feature_key(self) -> str:
        """The mel settings and the range of the pitch."""
        mel, pitch = self.config.mel.model_dump_json(), self.config.pitch
        return f"{mel}-1-{pitch.low:g}-{pitch.high:g}" if pitch.layers else mel

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """The alignment gives every symbol a frame, so there must be enough of them."""
        needed, frames = num_tokens + 2, lengths["mel"]
        return "" if frames >= needed else f"{frames} frames are too few for {needed} symbols"

    def initialize(self, examples: TrainingExamples) -> None:
        """Sets the mean and standard deviation of each mel channel."""
        statistics = examples.statistics()
        self.network.mel_mean.copy_(torch.from_numpy(statistics["mel_mean"]))
        self.network.mel_std.copy_(torch.from_numpy(statistics["mel_std"]))

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`tokens` (B, N), `token_lengths` (B,), `mel` (B, L, M) natural log, `mel_lengths` (B,), `speakers` (B,)."""
        tokens = [self._framed(example.tokens) for example in examples]
        mels = [example.features["mel"] for example in examples]
        batch: Batch = {
            "ids": [example.id for example in examples],
            "tokens": _padded_tokens(tokens, self.tokenizer.pad_id),
            "token_lengths": torch.tensor([len(t) for t in tokens]),
            "mel": torch.zeros(len(mels), max(len(m) for m in mels), mels[0].shape[1]),
            "mel_lengths": torch.tensor([len(m) for m in mels]),
        }
        for row, mel in enumerate(mels):
            batch["mel"][row, : len(mel)] = torch.from_numpy(mel)
        if self.config.pitch.layers:
            batch |= collated_voice([example.features for example in examples])
        if self.speakers.num_embeddings:
            batch["speakers"] = torch.tensor([example.speaker for example in examples])
        return batch

    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions over symbols and frames."""
        network = self.network
        stacks = [network.encoder.blocks, network.duration.blocks, network.decoder.blocks]
        if network.pitch_predictor is not None:
            stacks.append(network.pitch_predictor.body.blocks)
        if network.flow is not None:
            stacks.append(network.flow.blocks)
        return [block for stack in stacks for block in stack]

    @cached_property
    def vocoder(self) -> MelVocoder:
        """What its mels are spoken through."""
        config = self.config
        iterations = config.griffin_lim_iterations
        return MelVocoder(config.vocoder, config.mel, iterations=iterations, maker="this voice")

    def has_pitch(self) -> bool:
        """Whether `pitch.layers` is not 0."""
        return self.config.pitch.layers > 0

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

    def export(self, folder: Path, *, format: str) -> None:
        """Writes the voice with its vocoder; the real engine speaks what was written."""
        from amtts_chatterbox.mel.export import FORMATS

        FORMATS[format](self, folder)

    def predicted_mel_format(self) -> MelFormat:
        """Of its mels."""
        return self.config.mel.format

    @torch.inference_mode()
    def predict_mel(self, tokens: Sequence[int], waveform: np.ndarray, *, speaker: int) -> np.ndarray:
        """The mel (L, M) that a text gets with the durations of its recording (T,)."""
        arrays = self.features(waveform).arrays
        target = arrays["mel"]
        fault = self.check_example(len(tokens), {"mel": len(target)})
        if fault:
            raise AmttsError(fault)
        framed = torch.tensor([self._framed(tokens)])
        speakers = torch.tensor([speaker]) if self.speakers.num_embeddings else None
        mel = self.network.normalize(torch.from_numpy(target)[None])
        lengths = torch.tensor([framed.shape[1]]), torch.tensor([len(target)])
        voice = voice_of(collated_voice([arrays])) if self.config.pitch.layers else None
        encoded = self.network.encode(framed, lengths[0], speakers)
        durations = self.network.align(encoded, mel, *lengths)
        predicted = self.network.draw_mel(
            self.network.stretch(encoded, durations),
            self._noise([0], len(target)),
            voice=voice,
            steps=self.config.flow.steps,
        )
        return predicted[0].numpy()

    def learner(self) -> ChatterboxMelLearner:
        """The training view. A vocoder that is missing or made for other mels is an error before training begins."""
        self.vocoder.opened()
        return ChatterboxMelLearner(self.network, self.config)

    @torch.inference_mode()
    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) per request; the acoustic part runs as one batch."""
        device = self.device
        tokens = [self._framed(request.tokens) for request in requests]
        lengths = torch.tensor([len(t) for t in tokens], device=device)
        speakers = None
        if self.speakers.num_embeddings:
            speakers = torch.tensor([request.speaker for request in requests], device=device)
        padded = _padded_tokens(tokens, self.tokenizer.pad_id).to(device)
        encoded = self.network.encode(padded, lengths, speakers)
        durations = whole_durations(encoded.log_duration, encoded.mask)
        totals = durations.sum(1).tolist()
        noise = self._noise([request.seed for request in requests], max(totals))
        frames = self.network.stretch(encoded, durations)
        change = voice_change(requests, frames.mask)
        mels = self.network.draw_mel(frames, noise, change=change, steps=self.config.flow.steps)
        return [
            self.vocoder.vocode(at_pace(mel[:frames], request.speed).T.cpu(), seed=request.seed).numpy()
            for mel, frames, request in zip(mels, totals, requests, strict=True)
        ]

    @torch.inference_mode()
    def copy_synthesis(self, waveform: np.ndarray) -> np.ndarray:
        """A recording (T,) through its mels and the vocoder."""
        mel = self.features(waveform).arrays["mel"]
        return self.vocoder.vocode(torch.from_numpy(mel).T, seed=0).numpy()

    def _noise(self, seeds: Sequence[int], frames: int) -> Tensor | None:
        """Noise (B, frames, M) that the flow begins with; None where there is no flow."""
        config = self.config
        if not config.flow.layers:
            return None
        noise = noise_of(seeds, frames, config.mel.n_mels)
        return config.flow.temperature * noise.to(self.device)

    def _framed(self, tokens: Sequence[int]) -> list[int]:
        """Tokens between start and end, which take the silence at the edges."""
        return [self.tokenizer.bos_id, *tokens, self.tokenizer.eos_id]


def voice_change(requests: Sequence[SynthesisRequest], mask: Tensor) -> Callable[[Voice], Voice]:
    """Moves each item's pitch by the semitones that its request asks for, widens or narrows its contour, lifts its end.

    The end rises as half a period of a cosine over the last `RISING` frames up to the last voiced one.

    Args:
        requests: one an item.
        mask: (B, L, 1).
    """
    shift = mask.new_tensor([request.pitch for request in requests])[:, None] * (math.log(2) / 12 / SPREAD)
    width = mask.new_tensor([request.pitch_range for request in requests])[:, None]
    rise = mask.new_tensor([request.final_rise for request in requests])[:, None] * (
        math.log(2) / 12 / SPREAD
    )
    frame = torch.arange(mask.shape[1], device=mask.device)

    def change(voice: Voice) -> Voice:
        weight = voice.voicing * mask[..., 0]
        middle = (voice.pitch * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-3)
        last = torch.where(weight > 0.5, frame, -1).amax(1, keepdim=True)
        share = (1 - (last - frame) / RISING).clamp(0, 1)
        lift = rise * (1 - torch.cos(math.pi * share)) / 2
        return Voice(middle + (voice.pitch - middle) * width + shift + lift, voice.voicing)

    return change


def _padded_tokens(tokens: Sequence[Sequence[int]], pad: int) -> Tensor:
    longest = max(len(t) for t in tokens)
    return torch.tensor([[*t, *[pad] * (longest - len(t))] for t in tokens])
