"""Speech tokens of Chatterbox's S3 tokenizer that other programs made, read from the caches of fine-tuning tools.

Such tokens can be learnt without the tokenizer's weights and without audio. To make tokens here, and to speak them,
give the codec a published S3Gen file instead (`codec.py`).

A cache is a folder with one `.pt` file an utterance, a dictionary with `speech_tokens` and, mostly, a speaker vector of
256 channels. Only tensors and plain values are read; nothing in a file is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amtts_core.contract.codec import SpeechCodec
from amtts_core.errors import AmttsError
from amtts_core.storage.torch_files import load_torch_file

CACHED_HASH = hashlib.sha256(b"speech_tokenizer_v2_25hz").hexdigest()
"""Of the tokenizer's published name: all releases share it, and caches do not say which file made them."""
CARDINALITY = 6561
VECTOR = 256
TOKENS = ("speech_tokens", "speech_token", "codes")
SPEAKERS = ("speaker_emb", "t3_cond_speaker_emb", "speaker_embedding", "speaker")
"""Names that the caches of known tools use."""


class S3Tokens(SpeechCodec):
    """Reads tokens from a `CodeCache`, computes none. `weights` of `open` is the folder of the caches."""

    name = "s3"
    sample_rate = 16000
    frame_rate = 25.0
    num_codebooks = 1
    cardinality = CARDINALITY
    weights_hash = CACHED_HASH
    license = "Apache-2.0 (S3 tokenizer), MIT (Chatterbox)"
    extras: Mapping[str, int] = MappingProxyType({"speaker": VECTOR})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cache = self

    @classmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> S3Tokens:
        """The caches in a folder.

        Raises:
            AmttsError: not a folder, or more codebooks than one.
        """
        if not weights.is_dir():
            raise AmttsError(
                f"codec 's3' reads the caches (.pt) of a folder, {weights} is a file",
                remedy="Give the folder: amtts encode-codes MANIFEST --codec s3 --weights CACHE --out DIR",
            )
        if num_codebooks > 1:
            raise AmttsError(f"codec 's3' has 1 codebook, {num_codebooks} were asked for")
        return cls(weights)

    def read(self, key: str, audio: Path) -> dict[str, np.ndarray]:
        """`codes` (L, 1) uint16 and, where the file has one, `speaker` (1, 256) float32; see `CodeCache.read`."""
        path = self._file(key, audio)
        values = _values(path)
        tokens = _named(values, TOKENS)
        if tokens is None:
            raise AmttsError(
                f"cache {path} holds none of {', '.join(TOKENS)}, but {', '.join(sorted(values))}"
            )
        arrays = {"codes": _codes(tokens, path)[:, None]}
        vector = _named(values, SPEAKERS)
        if vector is not None:
            arrays["speaker"] = _vector(vector, path)[None]
        return arrays

    def _file(self, key: str, audio: Path) -> Path:
        names = dict.fromkeys(
            name for name in (key, audio.stem) if "/" not in name and name not in ("", "..")
        )
        for name in names:
            path = self._folder / f"{name}.pt"
            if path.is_file():
                return path
        raise AmttsError(f"cache {self._folder} has no file {' or '.join(f'{name}.pt' for name in names)}")

    def num_frames(self, num_samples: int) -> int:
        """Tokens of a waveform of `num_samples` samples at 16 kHz."""
        return num_samples // 640

    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Refused: caches hold tokens, no tokenizer.

        Raises:
            AmttsError: always.
        """
        raise AmttsError(
            "codec 's3' without the published weights makes no S3 tokens from audio",
            remedy="Give the published weights: amtts encode-codes DATA --codec s3 --weights s3gen.safetensors --out "
            "DIR, or --set model.codec_weights=s3gen.safetensors; or train on codes: amtts train --codes DIR",
        )

    def decode(self, codes: Tensor) -> Tensor:
        """Refused: caches hold tokens, no S3Gen.

        Raises:
            AmttsError: always.
        """
        raise AmttsError(
            "codec 's3' without the published weights of S3Gen makes no sound of S3 tokens",
            remedy="Name the published weights: amtts synthesize … --set model.codec_weights=s3gen.safetensors",
        )

    def to(self, device: torch.device | str) -> S3Tokens:
        """Has nothing to move; returns itself."""
        return self


def _values(path: Path) -> dict[str, Any]:
    values = load_torch_file(path, what="cache")
    if not isinstance(values, dict):
        raise AmttsError(f"cache {path} holds a {type(values).__name__}, expected a dictionary of tensors")
    return {str(name): value for name, value in values.items()}


def _named(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _codes(tokens: Any, path: Path) -> np.ndarray:
    """(L,) uint16, without the start and end that some tools put around them."""
    try:
        flat = torch.as_tensor(tokens).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        raise AmttsError(f"cache {path}: its speech tokens are no numbers") from None
    if flat.is_floating_point() or flat.is_complex() or flat.dtype == torch.bool:
        raise AmttsError(f"cache {path}: its speech tokens are {flat.dtype}, expected integers")
    if len(flat) and int(flat[0]) == CARDINALITY:
        flat = flat[1:]
    if len(flat) and int(flat[-1]) == CARDINALITY + 1:
        flat = flat[:-1]
    if not len(flat):
        raise AmttsError(f"cache {path} holds no speech token")
    least, most = int(flat.min()), int(flat.max())
    if not 0 <= least <= most < CARDINALITY:
        raise AmttsError(
            f"cache {path}: speech tokens range from {least} to {most}, expected 0 to {CARDINALITY - 1}"
        )
    return flat.numpy().astype(np.uint16)


def _vector(vector: Any, path: Path) -> np.ndarray:
    """(256,) float32."""
    try:
        flat = torch.as_tensor(vector).reshape(-1).float()
    except (TypeError, ValueError, RuntimeError):
        raise AmttsError(f"cache {path}: its speaker vector is no tensor") from None
    if len(flat) != VECTOR or not bool(torch.isfinite(flat).all()):
        raise AmttsError(
            f"cache {path}: its speaker vector has {len(flat)} channels, expected {VECTOR} finite ones"
        )
    return flat.detach().numpy()
