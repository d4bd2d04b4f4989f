"""A backend as it stands in memory, written as a checkpoint: what it says of itself, its weights and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amtts_core.checkpoints.checkpoint import CheckpointInfo, write_checkpoint
from amtts_core.contract.backend import Backend


def describe_backend(backend: Backend, **known: Any) -> CheckpointInfo:
    """What a backend says of itself: name, settings, sample rate, tokenizer, speakers, codec.

    Args:
        backend: the backend.
        known: further fields of `CheckpointInfo`, or others than the backend's own.
    """
    tokenizer, codes = backend.text_tokenizer, backend.spec.speech_codes
    fields: dict[str, Any] = {
        "backend": backend.spec.name,
        "backend_config": backend.config.model_dump(mode="json"),
        "sample_rate": backend.sample_rate,
        "tokenizer_kind": tokenizer.kind if tokenizer else "",
        "tokenizer_hash": tokenizer.fingerprint() if tokenizer else "",
        "vocab_size": tokenizer.vocab_size if tokenizer else 0,
        "speakers": list(backend.speakers.names),
        "speaker_embedding": backend.speakers.has_embedding,
        "codec": str(codes.of(backend).codec_identity()) if codes else "",
    }
    return CheckpointInfo(**{**fields, **known})


def write_backend(folder: Path, backend: Backend, **known: Any) -> CheckpointInfo:
    """Writes a backend as a checkpoint, complete or not at all, and gives its description.

    Args:
        folder: to be made.
        backend: its weights, tokenizer and further files (such as a vocoder) are written.
        known: see `describe_backend`.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
    """
    info, files = describe_backend(backend, **known), backend.spec.checkpoint_files
    write_checkpoint(
        folder,
        info,
        backend.network.state_dict(),
        tokenizer=backend.text_tokenizer,
        files=files.of(backend).write_files if files else None,
    )
    return info
