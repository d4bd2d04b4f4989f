"""The codec that the settings name, with the codebooks that the head reads."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.codec_registry import open_codec
from amtts_core.errors import AmttsError
from amtts_indextts2.config import IndexTTS2Config, SemanticHeadConfig

NAME = "indextts2"


def codec_of(config: IndexTTS2Config, *, device: str = "cpu") -> SpeechCodec:
    """The codec that a configuration names, opened once a device.

    Raises:
        AmttsError: none is named, it cannot be opened, or its codes are not those of the head.
    """
    if not config.codec_weights:
        raise AmttsError(
            f"backend '{NAME}' learns the codes of codec '{config.codec}' and needs its weights",
            remedy="Give --set model.codec_weights=FILE_OR_FOLDER",
        )
    head = config.head
    semantic = isinstance(head, SemanticHeadConfig)
    books = 1 if isinstance(head, SemanticHeadConfig) else head.num_codebooks
    entries = head.num_codes - 2 if isinstance(head, SemanticHeadConfig) else head.cardinality
    codec = _opened(config.codec, config.codec_weights, books, device)
    there = codec.cardinality
    if there != entries:
        name = "num_codes (less 2)" if semantic else "cardinality"
        fitting = f"cardinality={there}"
        if semantic:
            fitting = f"{{kind: semantic, num_codes: {there + 2}, start: {there}, stop: {there + 1}}}"
        raise AmttsError(
            f"codec '{codec.name}' has {there} entries a codebook, model.head.{name} is {entries}",
            remedy=f"Give --set 'model.head={fitting}'" if semantic else f"Give --set model.head.{fitting}",
        )
    return codec


@lru_cache(maxsize=4)
def _opened(name: str, weights: str, num_codebooks: int, device: str) -> SpeechCodec:
    return open_codec(name, Path(weights), num_codebooks=num_codebooks).to(device)
