"""S3Gen as a backend: its flow is fine-tuned on recordings, without text; tokenizer, x-vectors and vocoder stay.

A run is a codec of its own: `--set model.codec_weights=RUN` of a T3 speaks through the tuned flow, and
`amtts export --format chatterbox` writes s3gen.safetensors for stock Chatterbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from amtts_chatterbox.front_ends import VOICE_RATE, s3gen_mel_24k
from amtts_chatterbox.s3.codec import S3Codec
from amtts_chatterbox.s3.estimator import MELS
from amtts_chatterbox.s3.flow_encoder import UPSAMPLING
from amtts_chatterbox.s3.front_ends import long_log_mel, sinc_resample
from amtts_chatterbox.s3.learner import S3GenLearner
from amtts_chatterbox.s3.names import to_published
from amtts_chatterbox.s3.reference_voice import GRID
from amtts_chatterbox.s3.speaker_encoder import x_vectors
from amtts_chatterbox.s3.tokenizer import tokenize
from amtts_chatterbox.s3.training_config import PRESETS, S3GenConfig, sizes_as_settings
from amtts_chatterbox.s3.vocoder import RATE
from amtts_chatterbox.s3.weights import LICENSE, S3Network, find_s3gen, load_s3gen
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import Export, ReferenceChecks
from amtts_core.contract.published import PublishedFormat, PublishedWeights
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest
from amtts_core.errors import AmttsError, CheckpointError

NAME = "s3gen"
SHORTEST = 2
"""Codes of an utterance, at least."""


def open_weights(path: Path) -> PublishedWeights:
    """A published S3Gen file, or the folder that holds one.

    Raises:
        CheckpointError: there is none, or its flow is distilled (mean flow) and cannot learn so.
    """
    network = load_s3gen(path)
    if network.flow.mean_flow:
        raise CheckpointError(
            f"{path} holds a mean flow, distilled to two steps; flow matching would undo that",
            remedy="Start from s3gen.safetensors or s3gen.pt",
        )

    def load_into(target: Any) -> tuple[str, ...]:
        load_strict(target.network, network.state_dict(), backend=NAME)
        return ()

    file = find_s3gen(path)
    settings = {**sizes_as_settings(network.sizes), "codec_weights": str(file.resolve() if file else path)}
    return PublishedWeights(model=settings, load_into=load_into)


PUBLISHED = PublishedFormat(
    name=NAME,
    license=LICENSE,
    weight_files=("s3gen*.safetensors", "s3gen*.pt"),
    open_weights=open_weights,
)


class S3GenBackend(Backend[S3GenConfig]):
    """The flow from S3 tokens to mels, behind a frozen tokenizer; speaks codes with the voice beside its weights."""

    spec: ClassVar[BackendSpec[S3GenConfig]] = BackendSpec(
        name=NAME,
        summary="S3Gen: fine-tunes Chatterbox's flow from speech tokens to mels on your voices",
        sample_rate=RATE,
        learns_from="mel",
        config=S3GenConfig,
        presets=PRESETS,
        text=None,
        published=PUBLISHED,
        export=Export(formats=("chatterbox",)),
        reference_checks=ReferenceChecks(),
        mutable_settings=("codec_weights", "condition_dropout", "prompt_share", "longest_prompt"),
        training_defaults={
            "data": {"batch_seconds": 120.0},
            "training": {"sample_every": 0, "optim": {"learning_rate": 1e-5, "warmup_steps": 500}},
        },
        weights_license=LICENSE,
    )

    network: S3Network

    def build_network(self) -> S3Network:
        """Tokenizer, x-vectors and vocoder are frozen; speakers do not matter."""
        network, config = TrainedS3Network(self.config), self.config
        for module in (network.tokenizer, network.speaker_encoder, network.vocoder):
            module.requires_grad_(False)
        for part in (network.flow.input_embedding, network.flow.encoder, network.flow.encoder_proj):
            part.requires_grad_(config.train_encoder)
        return network

    def as_codec(self) -> S3Codec:
        """Itself as a codec, with its present weights and the voice that lies beside those it started from."""
        return S3Codec(self.network, _folder(self.config))

    def features(self, waveform: np.ndarray) -> Features:
        """`codes` (N, 1) int32, `mels` (2 N, 80) float32 and the x-vector `speaker` (1, 192) float32."""
        network = _frozen(self.config.codec_weights)
        wave = torch.from_numpy(np.ascontiguousarray(waveform))
        shortest = SHORTEST * GRID
        if len(wave) < shortest:
            wave = torch.nn.functional.pad(wave, (0, shortest - len(wave)))
        wave = wave[: len(wave) // GRID * GRID]
        with torch.inference_mode():
            low = sinc_resample(wave[None], RATE, VOICE_RATE)[0]
            codes = tokenize(network.tokenizer, [long_log_mel(low)])[0]
            mels = s3gen_mel_24k(wave[None])[0].t()[: UPSAMPLING * len(codes)]
            speaker = x_vectors(network.speaker_encoder, [low])
        arrays = {"codes": codes[:, None].to(torch.int32), "mels": mels, "speaker": speaker}
        return Features(arrays={name: tensor.contiguous().numpy() for name, tensor in arrays.items()})

    def feature_key(self) -> str:
        """Which tokenizer and x-vectors."""
        return _frozen_key(self.config.codec_weights)

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """At least two codes."""
        codes = lengths["codes"]
        return "" if codes >= SHORTEST else f"{codes} speech codes are too few to learn from ({SHORTEST})"

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Mel frames."""
        return UPSAMPLING * lengths["codes"]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`codes` (B, N), `code_lengths` (B,), `mels` (B, 2 N, 80), `speakers` (B, 192)."""
        codes = [torch.from_numpy(e.features["codes"].astype(np.int64).reshape(-1)) for e in examples]
        longest = max(len(row) for row in codes)
        mels = torch.zeros(len(codes), UPSAMPLING * longest, MELS)
        for row, example in enumerate(examples):
            frames = torch.from_numpy(example.features["mels"].astype(np.float32))
            mels[row, : len(frames)] = frames
        speakers = [e.features["speaker"].astype(np.float32).reshape(-1) for e in examples]
        return {
            "ids": [example.id for example in examples],
            "codes": nn.utils.rnn.pad_sequence(codes, batch_first=True),
            "code_lengths": torch.tensor([len(row) for row in codes]),
            "mels": mels,
            "speakers": torch.from_numpy(np.stack(speakers)),
        }

    def learner(self) -> S3GenLearner:
        """The training view."""
        return S3GenLearner(self.network, self.config)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """Codes to waveforms; a request's tokens are the codes."""
        codec = self.as_codec()
        codes = [torch.tensor(list(request.tokens)) for request in requests]
        return [wave.numpy() for wave in codec.speak(codes, codec.built_in_voice())]

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """See `reference`."""
        return S3Codec.reference_checks(folder)

    def export(self, folder: Path, *, format: str) -> None:
        """`chatterbox`: s3gen.safetensors under the published names."""
        from safetensors.torch import save_file

        weights = {
            name: tensor.cpu().contiguous()
            for name, tensor in to_published(self.network.state_dict()).items()
        }
        save_file(weights, folder / "s3gen.safetensors", metadata={"format": "pt"})


class TrainedS3Network(S3Network):
    """The same, of which only the flow ever is in training mode: the others' running statistics stay."""

    def __init__(self, config: S3GenConfig) -> None:
        super().__init__(config.sizes)
        self.eval()

    def train(self, mode: bool = True) -> TrainedS3Network:
        """See `nn.Module.train`."""
        super().train(False)
        self.training = mode
        self.flow.train(mode)
        return self


def _folder(config: S3GenConfig) -> Path:
    """Where the weights lie that it started from, and with them perhaps a voice."""
    file = find_s3gen(Path(config.codec_weights)) if config.codec_weights else None
    return file.parent if file else Path()


@lru_cache(maxsize=1)
def _frozen(weights: str) -> S3Network:
    """The network whose tokenizer and x-vectors features are made with.

    Raises:
        AmttsError: none is named, or it cannot be read.
    """
    if not weights:
        raise AmttsError(
            f"backend '{NAME}' learns from the codes of published weights, and model.codec_weights names none",
            remedy="Start from them: amtts train --backend s3gen --from s3gen.safetensors --data DIR --out RUN",
        )
    return load_s3gen(Path(weights))


@lru_cache(maxsize=1)
def _frozen_key(weights: str) -> str:
    from amtts_core.codec.fingerprint import weights_fingerprint

    network = _frozen(weights)
    parts = {"tokenizer": network.tokenizer, "speaker": network.speaker_encoder}
    return weights_fingerprint(
        {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}
    )
