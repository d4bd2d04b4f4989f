"""chatterbox-mel as a backend: features, batches, weights, speech."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from amtts_chatterbox.mel.config import PRESETS, SAMPLE_RATE, ChatterboxMelConfig
from amtts_chatterbox.mel.learner import ChatterboxMelLearner
from amtts_chatterbox.mel.network import ChatterboxMel, at_pace, whole_durations
from amtts_core.audio.mel import log_mel
from amtts_core.audio.mel_vocoder import MelVocoder
from amtts_core.checkpoints.checkpoint import loaded
from amtts_core.contract.backend import (
    BackendSpec,
    Batch,
    Example,
    Features,
    SynthesisRequest,
    TextRows,
    device_of,
    required_tokenizer,
    speaker_index,
)
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.vocoder import MelFormat
from amtts_core.errors import AmttsError

NAME = "chatterbox-mel"


class ChatterboxMelBackend:
    """Small, fast, trains on a CPU in minutes; speaks through Griffin-Lim or any vocoder for its mels."""

    spec: ClassVar[BackendSpec] = BackendSpec(
        name=NAME,
        summary="text encoder, alignment search, mel decoder; trains on a CPU in minutes",
        sample_rate=SAMPLE_RATE,
        learns_from="mel",
        config=ChatterboxMelConfig,
        adjustable=("dropout", "duration_weight", "prior_weight", "griffin_lim_iterations", "vocoder"),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_frames": 4000},
            "training": {"max_steps": 900, "optim": {"learning_rate": 2e-3, "weight_decay": 1e-4}},
        },
        lora_targets=("widen", "narrow"),
        speaker_rows=("speaker_embedding.weight",),
    )

    def __init__(
        self,
        config: ChatterboxMelConfig,
        tokenizer: TextTokenizer,
        speakers: Sequence[str],
        network: ChatterboxMel,
    ) -> None:
        self.config = config
        self.text_tokenizer = tokenizer
        self.speakers = list(speakers)
        self.network = network
        self.vocoder = MelVocoder(
            config.vocoder,
            config.mel,
            iterations=config.griffin_lim_iterations,
            maker="this voice",
        )

    @classmethod
    def build(
        cls, config: Any, *, tokenizer: TextTokenizer | None, speakers: Sequence[str] = ()
    ) -> ChatterboxMelBackend:
        """A fresh network; its embedding has one row per token of `tokenizer`."""
        tokenizer = required_tokenizer(tokenizer, backend=NAME)
        network = ChatterboxMel(config, num_tokens=tokenizer.vocab_size, num_speakers=len(speakers))
        return cls(config, tokenizer, speakers, network)

    @classmethod
    def load(
        cls,
        config: Any,
        weights: Mapping[str, Tensor],
        *,
        tokenizer: TextTokenizer | None,
        speakers: Sequence[str] = (),
    ) -> ChatterboxMelBackend:
        """The network with `weights` loaded strictly."""
        return loaded(cls.build(config, tokenizer=tokenizer, speakers=speakers), weights)

    def text_rows(self) -> tuple[TextRows, ...]:
        """The text embedding; there is no head."""
        return (TextRows("text_embedding.weight", "embedding"),)

    def speech_codec(self) -> None:
        """None: it learns mels."""
        return None

    @classmethod
    def features(cls, config: Any, waveform: np.ndarray) -> Features:
        """`mel`: natural-log mels (L, M) of a waveform (T,)."""
        mel = log_mel(torch.from_numpy(np.ascontiguousarray(waveform))[None], config.mel)[0]
        return Features(arrays={"mel": mel.T.contiguous().numpy()})

    @classmethod
    def feature_key(cls, config: Any) -> str:
        """The mel settings."""
        return str(config.mel.model_dump_json())

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """The alignment gives every symbol a frame, so there must be enough of them."""
        needed, frames = num_tokens + 2, lengths["mel"]
        return "" if frames >= needed else f"{frames} frames are too few for {needed} symbols"

    def fit(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Takes the corpus' mean and deviation per mel channel."""
        self.network.mel_mean.copy_(torch.from_numpy(statistics["mel_mean"]))
        self.network.mel_std.copy_(torch.from_numpy(statistics["mel_std"]))

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Mel frames."""
        return lengths["mel"]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`tokens` (B, N), `token_lengths` (B,), `mel` (B, L, M) natural log, `mel_lengths` (B,), `speakers` (B,)."""
        tokens = [self._framed(example.tokens) for example in examples]
        mels = [example.features["mel"] for example in examples]
        batch: Batch = {
            "ids": [example.id for example in examples],
            "tokens": _padded_tokens(tokens, self.text_tokenizer.pad_id),
            "token_lengths": torch.tensor([len(t) for t in tokens]),
            "mel": torch.zeros(len(mels), max(len(m) for m in mels), mels[0].shape[1]),
            "mel_lengths": torch.tensor([len(m) for m in mels]),
        }
        for row, mel in enumerate(mels):
            batch["mel"][row, : len(mel)] = torch.from_numpy(mel)
        if len(self.speakers) > 1:
            batch["speakers"] = torch.tensor([speaker_index(e.speaker, self.speakers) for e in examples])
        return batch

    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions over symbols and frames."""
        stacks = self.network.encoder, self.network.duration, self.network.decoder
        return [block for stack in stacks for block in stack.blocks]

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

    def learner(self) -> ChatterboxMelLearner:
        """The training view. A vocoder that is missing or made for other mels is told before training begins."""
        self.vocoder.opened()
        return ChatterboxMelLearner(self.network, self.config)

    @torch.inference_mode()
    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) per request; the acoustic part runs as one batch."""
        device = device_of(self.network)
        tokens = [self._framed(request.tokens) for request in requests]
        lengths = torch.tensor([len(t) for t in tokens], device=device)
        indices = [speaker_index(request.speaker, self.speakers) for request in requests]
        speakers = torch.tensor(indices, device=device) if len(self.speakers) > 1 else None
        padded = _padded_tokens(tokens, self.text_tokenizer.pad_id).to(device)
        encoded = self.network.encode(padded, lengths, speakers)
        durations = whole_durations(encoded.log_duration, encoded.mask)
        mels = self.network.denormalize(self.network.decode(encoded, durations)[1])
        totals = durations.sum(1).tolist()
        return [
            self.vocoder.vocode(at_pace(mel[:frames], request.speed).T.cpu(), seed=request.seed).numpy()
            for mel, frames, request in zip(mels, totals, requests, strict=True)
        ]

    @property
    def mel_format(self) -> MelFormat:
        """Of its mels."""
        return self.config.mel.format

    @torch.inference_mode()
    def predict_mel(self, tokens: Sequence[int], waveform: np.ndarray, *, speaker: str) -> np.ndarray:
        """The mel (L, M) that a text gets with the durations of its recording (T,)."""
        target = self.features(self.config, waveform).arrays["mel"]
        fault = self.check_example(len(tokens), {"mel": len(target)})
        if fault:
            raise AmttsError(fault)
        framed = torch.tensor([self._framed(tokens)])
        speakers = torch.tensor([speaker_index(speaker, self.speakers)]) if len(self.speakers) > 1 else None
        mel = self.network.normalize(torch.from_numpy(target)[None])
        lengths = torch.tensor([framed.shape[1]]), torch.tensor([len(target)])
        predicted = self.network(framed, lengths[0], mel, lengths[1], speakers)[3]
        return self.network.denormalize(predicted)[0].numpy()

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Always an error: this design was never published, so nobody else's numbers exist."""
        raise AmttsError(f"backend '{NAME}' defines no reference bundle, so {folder} cannot be compared")

    def export(self, folder: Path, *, format: str) -> None:
        """`onnx`, `sherpa-onnx` or `piper`, each with the vocoder; the real engine speaks what was written."""
        from amtts_chatterbox.mel.export import FORMATS

        if format not in FORMATS:
            known = ", ".join(FORMATS)
            raise AmttsError(f"backend '{NAME}' cannot be exported as '{format}'; known formats: {known}")
        FORMATS[format](self, folder)

    def _framed(self, tokens: Sequence[int]) -> list[int]:
        """Tokens between start and end, which take the silence at the edges."""
        return [self.text_tokenizer.bos_id, *tokens, self.text_tokenizer.eos_id]


def _padded_tokens(tokens: Sequence[Sequence[int]], pad: int) -> Tensor:
    longest = max(len(t) for t in tokens)
    return torch.tensor([[*t, *[pad] * (longest - len(t))] for t in tokens])
