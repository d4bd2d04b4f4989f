"""`amtts export`: a voice in a format that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json
from amtts_core.errors import AmttsError

NORMALIZE_FIRST = (
    "text goes through `amtts normalize` first: an engine drops digits and abbreviations (see README.md)"
)


def export(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Checkpoint folder or run folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must be new or empty.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="voice (to hand on: no training state); hf, onnx, sherpa-onnx, piper …: what the backend knows; "
            "peft: adapters of a LoRA training.",
        ),
    ],
    vocoder: Annotated[
        str | None,
        typer.Option(
            "--vocoder", help="What turns its mels into sound, in place of its own: weights' file or folder."
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Weights of --format voice in half precision: half the size.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a voice to hand on, or for other programs. What was written is run and compared before it counts.

    A README beside it says how it is fed, whose data it was trained with and under which license; a sample is spoken.

    Example: amtts export --checkpoint run --format hf --out voice
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AmttsError(f"{out} is not an empty folder", remedy="Choose another --out")
    from safetensors import SafetensorError

    from amtts_core.checkpoints.checkpoint import read_checkpoint
    from amtts_core.checkpoints.hub import local_checkpoint
    from amtts_core.contract.vocoder import choose_vocoder
    from amtts_core.run.export import export_voice
    from amtts_core.storage.atomic import whole_folder

    found = read_checkpoint(local_checkpoint(checkpoint))
    backend = found.load_backend()
    if vocoder is not None:
        choose_vocoder(backend, vocoder)
    try:
        with whole_folder(out.resolve()) as hidden:
            try:
                export_voice(found, backend, hidden, format=format, half=half)
            except AmttsError as error:
                raise type(error)(
                    error.message.replace(str(hidden), str(out)), remedy=error.remedy
                ) from error
    except (OSError, SafetensorError) as error:  # safetensors wraps a full disk into an error of its own
        why = getattr(error, "strerror", None) or error
        raise AmttsError(
            f"export folder {out} cannot be written: {why}", remedy="Free space, or choose another --out"
        ) from error
    files = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    console.result(
        {"backend": found.info.backend, "format": format, "out": str(out), "files": files},
        lines=[
            f"wrote {', '.join(files)} into {out}",
            f"license of the weights it started from: {found.info.base_weights_license}",
            f"license of the recordings: {', '.join(found.info.data_licenses) or 'not stated'}",
            *([] if format == "voice" else [NORMALIZE_FIRST]),
        ],
    )
