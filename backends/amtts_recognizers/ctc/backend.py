"""The CTC recognizer as a backend: trained by the same trainer as a voice; it reads speech and speaks none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from amtts_core.audio.mel import mel_features
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import BatchStatistics, Blocks
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TextTensor
from amtts_core.errors import AmttsError
from amtts_recognizers.ctc.config import PRESETS, SAMPLE_RATE, CtcConfig
from amtts_recognizers.ctc.learner import CtcLearner
from amtts_recognizers.ctc.network import CtcNetwork

NAME = "recognizer"


class CtcBackend(Backend[CtcConfig]):
    """Recognizes the symbols of a recording. Punctuation is left out."""

    spec: ClassVar[BackendSpec[CtcConfig]] = BackendSpec(
        name=NAME,
        summary="speech recognizer: convolutions and CTC; measures voices and aligns text, trains on a CPU",
        sample_rate=SAMPLE_RATE,
        learns_from="mel",
        config=CtcConfig,
        mutable_settings=("dropout", "augment", "prior_weight"),
        presets=PRESETS,
        speaks=False,
        blocks=Blocks(),
        batch_statistics=BatchStatistics(),
        training_defaults={
            "data": {"batch_seconds": 50.0, "max_utterances": 32},
            "training": {
                "max_steps": 4000,
                "sample_every": 0,  # it does not speak
                "best_by": "val/token_error",
                "ema_decay": 0.995,
                "optim": {"learning_rate": 2e-3, "weight_decay": 1e-2, "warmup_steps": 200},
            },
        },
    )

    network: CtcNetwork

    def build_network(self) -> CtcNetwork:
        """Its head has one row per token; speakers do not matter to it."""
        return CtcNetwork(self.config, num_tokens=self.tokenizer.vocab_size)

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """The head and how often each symbol is in use."""
        return (
            TextTensor("head.weight", "head"),
            TextTensor("head.bias", "bias"),
            TextTensor("prior", "bias"),
        )

    def features(self, waveform: np.ndarray) -> Features:
        """`mel`: natural-log mels (L, M) of a waveform (T,)."""
        return Features(arrays={"mel": mel_features(waveform, self.config.mel)})

    def feature_key(self) -> str:
        """The mel settings."""
        return self.config.mel.model_dump_json()

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """Every symbol needs an output frame of its own."""
        frames = -(-lengths["mel"] // self.config.stride)
        return "" if frames >= num_tokens else f"{frames} frames are too few for {num_tokens} symbols"

    @cached_property
    def audible(self) -> frozenset[int]:
        """Ids of pronounced tokens, see `audible_ids`."""
        return audible_ids(self.tokenizer)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`mel` (B, T, M), `mel_lengths` (B,), `tokens` (B, N) that are pronounced, `token_lengths` (B,)."""
        mels = [example.features["mel"] for example in examples]
        tokens = [[token for token in example.tokens if token in self.audible] for example in examples]
        longest = max(1, *(len(t) for t in tokens))
        batch: Batch = {
            "ids": [example.id for example in examples],
            "mel": torch.zeros(len(mels), max(len(m) for m in mels), mels[0].shape[1]),
            "mel_lengths": torch.tensor([len(m) for m in mels]),
            "tokens": torch.full((len(mels), longest), self.tokenizer.pad_id),
            "token_lengths": torch.tensor([len(t) for t in tokens]),
        }
        for row, (mel, pronounced) in enumerate(zip(mels, tokens, strict=True)):
            batch["mel"][row, : len(mel)] = torch.from_numpy(mel)
            batch["tokens"][row, : len(pronounced)] = torch.tensor(pronounced, dtype=torch.long)
        return batch

    def blocks(self) -> Sequence[nn.Module]:
        """The convolution blocks."""
        return list(self.network.blocks)

    def learner(self) -> CtcLearner:
        """The training view."""
        return CtcLearner(self.network, self.config, blank=self.tokenizer.pad_id)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """Always an error: it recognizes speech.

        Raises:
            AmttsError: always.
        """
        raise AmttsError(
            f"backend '{NAME}' recognizes speech and speaks none",
            remedy="Measure a voice with it: amtts evaluate --checkpoint VOICE --recognizer DIR",
        )


def audible_ids(tokenizer: TextTokenizer) -> frozenset[int]:
    """Ids of pronounced tokens: letters, digits, parts of letters, and the space between words."""
    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    return frozenset(
        number
        for number, symbol in enumerate(tokenizer.symbols())
        if number not in special and (any(c.isalnum() for c in symbol) or symbol in (" ", "▁"))
    )
