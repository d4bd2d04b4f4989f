"""A network in a foreign format, and LoRA adapters in that of PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.checkpoints.checkpoint import Checkpoint
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError, nearest

if TYPE_CHECKING:
    from torch import Tensor

PEFT = "peft"
"""The format of adapters; every backend with published weights whose layers have names has it."""


def export_network(backend: Backend[Any], folder: Path, *, format: str) -> None:
    """Writes the backend's network into a folder.

    Raises:
        AmttsError: a format that the backend does not write; names those it writes.
    """
    declared = backend.spec.export
    known = declared.formats if declared else ()
    if declared is None or format not in known:
        shown = (*known, PEFT) if backend.spec.published and backend.spec.published.adapted_layers else known
        raise AmttsError(
            f"backend '{backend.spec.name}' cannot be exported as '{format}'{nearest(format, shown)}; "
            f"known formats: {', '.join(shown) or 'none'}"
        )
    declared.of(backend).export(folder, format=format)


def export_adapter(checkpoint: Checkpoint, backend: Backend[Any], folder: Path) -> None:
    """Writes the adapters of a LoRA training, its text tables and its tokenizer, for PEFT and `amtts train --from`.

    Args:
        checkpoint: of the training.
        backend: of the checkpoint.
        folder: exists.

    Raises:
        AmttsError: it was not trained with adapters, or its backend's published weights have no names for them.
    """
    from amtts_core.nn.lora import stored_adapters
    from amtts_core.storage.peft_adapter import split_layer, write_adapter

    info, published = checkpoint.info, backend.spec.published
    if published is None or published.adapted_layers is None:
        raise AmttsError(f"backend '{info.backend}' has no published weights that an adapter could be put on")
    if not info.lora:
        raise AmttsError(
            f"{checkpoint.folder} has no adapters (it was trained with training.type {info.training_type})",
            remedy="Train with --set training.type=lora, or export the whole network",
        )
    stored = checkpoint.stored_weights()
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for name, (down, up) in stored_adapters(stored, info.lora).items():
        layers |= split_layer(down, up, published.adapted_layers(name))
    text = zip(published.text_tensors, backend.text_tensors(), strict=True)
    write_adapter(
        folder,
        layers,
        rank=int(info.lora["rank"]),
        alpha=float(info.lora["alpha"]),
        whole={theirs.tensor: stored[ours.tensor] for theirs, ours in text},
        base=info.started_from,
        transposed=published.transposed_layers,
    )
    tokenizer = checkpoint.tokenizer()
    if tokenizer is not None:
        tokenizer.save(folder / "tokenizer")
