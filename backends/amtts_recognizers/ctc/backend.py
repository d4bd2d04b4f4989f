"""The CTC recognizer as a backend: trained by the same trainer as a voice; it reads speech and speaks none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from amtts_core.audio.mel import log_mel
from amtts_core.checkpoints.checkpoint import loaded
from amtts_core.contract.backend import (
    BackendSpec,
    Batch,
    Example,
    Features,
    SynthesisRequest,
    TextRows,
    required_tokenizer,
)
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_recognizers.ctc.config import PRESETS, SAMPLE_RATE, CtcConfig
from amtts_recognizers.ctc.learner import CtcLearner
from amtts_recognizers.ctc.network import CtcNetwork

NAME = "recognizer"


class CtcBackend:
    """Learns which symbols a recording says. Punctuation is not heard and not learned."""

    spec: ClassVar[BackendSpec] = BackendSpec(
        name=NAME,
        summary="speech recognizer: convolutions and CTC; measures voices and aligns text, trains on a CPU",
        sample_rate=SAMPLE_RATE,
        learns_from="mel",
        config=CtcConfig,
        adjustable=("dropout", "augment", "prior_weight"),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_frames": 12000, "max_utterances": 32},
            "training": {
                "max_steps": 6000,
                "sample_every": 0,  # it does not speak
                "best_by": "val/token_error",
                "optim": {"learning_rate": 2e-3, "weight_decay": 1e-2, "warmup_steps": 300},
            },
        },
    )

    def __init__(self, config: CtcConfig, tokenizer: TextTokenizer, network: CtcNetwork) -> None:
        self.config = config
        self.network = network
        self.text_tokenizer = tokenizer
        self._audible = audible_ids(tokenizer)

    @classmethod
    def build(
        cls, config: Any, *, tokenizer: TextTokenizer | None, speakers: Sequence[str] = ()
    ) -> CtcBackend:
        """A fresh network; its head has one row per token of `tokenizer`. Speakers do not matter to it."""
        tokenizer = required_tokenizer(tokenizer, backend=NAME)
        return cls(config, tokenizer, CtcNetwork(config, num_tokens=tokenizer.vocab_size))

    @classmethod
    def load(
        cls,
        config: Any,
        weights: Mapping[str, Tensor],
        *,
        tokenizer: TextTokenizer | None,
        speakers: Sequence[str] = (),
    ) -> CtcBackend:
        """The network with `weights` loaded strictly."""
        return loaded(cls.build(config, tokenizer=tokenizer), weights)

    def text_rows(self) -> tuple[TextRows, ...]:
        """The head and its frequencies."""
        return (TextRows("head.weight", "head"), TextRows("head.bias", "bias"), TextRows("prior", "bias"))

    def speech_codec(self) -> None:
        """None: it learns from mels."""
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
        """Every symbol needs an output frame of its own."""
        frames = -(-lengths["mel"] // self.config.stride)
        return "" if frames >= num_tokens else f"{frames} frames are too few for {num_tokens} symbols"

    def fit(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Nothing: each utterance is normalized by itself."""

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Mel frames."""
        return lengths["mel"]

    def targets(self, tokens: Sequence[int]) -> list[int]:
        """Text tokens without what cannot be heard (punctuation, special tokens)."""
        return [token for token in tokens if token in self._audible]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`mel` (B, T, M), `mel_lengths` (B,), `targets` (B, N), `target_lengths` (B,)."""
        mels = [example.features["mel"] for example in examples]
        targets = [self.targets(example.tokens) for example in examples]
        batch: Batch = {
            "ids": [example.id for example in examples],
            "mel": torch.zeros(len(mels), max(len(m) for m in mels), mels[0].shape[1]),
            "mel_lengths": torch.tensor([len(m) for m in mels]),
            "targets": torch.zeros(len(mels), max(1, *(len(t) for t in targets)), dtype=torch.long),
            "target_lengths": torch.tensor([len(t) for t in targets]),
        }
        for row, (mel, target) in enumerate(zip(mels, targets, strict=True)):
            batch["mel"][row, : len(mel)] = torch.from_numpy(mel)
            batch["targets"][row, : len(target)] = torch.tensor(target, dtype=torch.long)
        return batch

    def blocks(self) -> Sequence[nn.Module]:
        """The convolution blocks."""
        return list(self.network.blocks)

    def learner(self) -> CtcLearner:
        """The training view."""
        return CtcLearner(self.network, self.config, blank=self.text_tokenizer.pad_id)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """Always an error: it recognizes speech.

        Raises:
            AmttsError: always.
        """
        raise AmttsError(
            f"backend '{NAME}' recognizes speech and speaks none",
            remedy="Measure a voice with it: amtts evaluate --checkpoint VOICE --recognizer DIR",
        )

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Always an error: nobody else's numbers exist."""
        raise AmttsError(f"backend '{NAME}' defines no reference bundle, so {folder} cannot be compared")

    def export(self, folder: Path, *, format: str) -> None:
        """No foreign format reads this network."""
        raise AmttsError(f"backend '{NAME}' cannot be exported as '{format}'; known formats: none")


def audible_ids(tokenizer: TextTokenizer) -> frozenset[int]:
    """Ids of tokens that are heard: letters, digits, parts of letters, and the space between words."""
    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    return frozenset(
        number
        for number, symbol in enumerate(tokenizer.symbols())
        if number not in special and (any(c.isalnum() for c in symbol) or symbol in (" ", "▁"))
    )
