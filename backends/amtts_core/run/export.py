"""A voice for other programs, a voice to hand on, LoRA adapters for PEFT: files, a card, a sample, checksums."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.checkpoints.checkpoint import Checkpoint, write_checkpoint
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError, nearest
from amtts_core.synthesis.model_card import write_card

if TYPE_CHECKING:
    from torch import Tensor

PEFT = "peft"
"""The format of adapters; every backend with published weights whose layers have names has it."""
VOICE = "voice"
"""The format that every backend has: a checkpoint without its training state."""
SAMPLE = "ሰላም ለዓለም። እንኳን ደህና መጣችሁ።"
SUMS = "SHA256SUMS"
EXCLUDED = (SUMS, ".gitattributes")


def formats_of(backend: Backend[Any]) -> tuple[str, ...]:
    """What a backend can be exported as."""
    declared, published = backend.spec.export, backend.spec.published
    adapters = (PEFT,) if published and published.adapted_layers else ()
    return (*(declared.formats if declared else ()), *adapters, VOICE)


def export_network(backend: Backend[Any], folder: Path, *, format: str) -> None:
    """Writes the backend's network into a folder.

    Raises:
        AmttsError: a format that the backend does not write; names those it writes.
    """
    declared, known = backend.spec.export, formats_of(backend)
    if declared is None or format not in declared.formats:
        raise AmttsError(
            f"backend '{backend.spec.name}' cannot be exported as '{format}'{nearest(format, known)}; "
            f"known formats: {', '.join(known)}"
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


def export_voice(
    checkpoint: Checkpoint, backend: Backend[Any], folder: Path, *, format: str, half: bool = False
) -> None:
    """Writes a voice with its card, a sample and checksums.

    Args:
        checkpoint: that `backend` was loaded from.
        backend: with the vocoder that it is to speak through.
        folder: empty.
        format: one of `formats_of`.
        half: weights of `voice` in half precision.

    Raises:
        AmttsError: an unknown format, or a voice that cannot be written so.
    """
    if format == VOICE:
        _write_voice(checkpoint, backend, folder, half=half)
    elif format == PEFT:
        export_adapter(checkpoint, backend, folder)
        write_card(folder, checkpoint.info, format=format, sample="")
        write_sums(folder)
        return
    elif half:
        raise AmttsError("--half belongs to --format voice", remedy="Leave --half out")
    else:
        export_network(backend, folder, format=format)
    sample = _write_sample(checkpoint, backend, folder)
    declared = backend.spec.export
    usage = declared.usage.get(format, "") if declared else ""
    write_card(folder, checkpoint.info, format=format, sample=sample, usage=usage)
    write_sums(folder)


def _write_voice(checkpoint: Checkpoint, backend: Backend[Any], folder: Path, *, half: bool) -> None:
    import torch

    weights = backend.network.state_dict()
    if half:
        weights = {name: t.half() if t.dtype == torch.float32 else t for name, t in weights.items()}
        unfit = [name for name, t in weights.items() if t.is_floating_point() and not torch.isfinite(t).all()]
        if unfit:
            raise AmttsError(
                f"tensor '{unfit[0]}' does not fit into half precision", remedy="Leave --half out"
            )
    files = backend.spec.checkpoint_files
    info = checkpoint.info.model_copy(update={"lora": None} if checkpoint.info.lora else {})

    def further(target: Path) -> None:
        if files is not None:
            files.of(backend).write_files(target)
        for voices in (checkpoint.folder / "voices", checkpoint.folder.parent.parent / "voices"):
            if voices.is_dir():
                shutil.copytree(voices, target / "voices", dirs_exist_ok=True)

    made = folder / "checkpoint"
    write_checkpoint(made, info, weights, tokenizer=checkpoint.tokenizer(), files=further)
    for path in list(made.iterdir()):
        path.rename(folder / path.name)
    made.rmdir()


def _write_sample(checkpoint: Checkpoint, backend: Backend[Any], folder: Path) -> str:
    """Speaks a sentence into `sample.wav`; an empty name where the voice knows no letter of it."""
    from amtts_core.audio.save import write_audio
    from amtts_core.synthesis.engine import Synthesizer

    if backend.text_tokenizer is None or not backend.spec.speaks:
        return ""
    speaker = Synthesizer(backend, checkpoint.normalizer(), untrained=checkpoint.info.untrained_tokens)
    try:
        spoken = speaker.speak(SAMPLE)
    except AmttsError:  # letters of another language
        return ""
    write_audio(folder / "sample.wav", spoken.waveform, spoken.sample_rate)
    return "sample.wav"


def write_sums(folder: Path) -> None:
    """Lists the digest of every file, as `sha256sum --check` reads it."""
    lines = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in EXCLUDED):
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
