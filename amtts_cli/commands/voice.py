"""`amtts voice`: a speaker's voice kept with a checkpoint under a name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Assignments, Json
from amtts_core.errors import AmttsError


def voice(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Checkpoint folder or run folder.")],
    recording: Annotated[
        Path | None,
        typer.Argument(help="Recording of the speaker, 3 to 10 s of clear speech; without it: list."),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="Name to speak with it by: synthesize --voice NAME.")
    ] = "",
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Keep a speaker's voice with a checkpoint, or list those that are kept.

    Example: amtts voice --checkpoint run --name almaz almaz.wav
    """
    from amtts_core.checkpoints.checkpoint import read_checkpoint
    from amtts_core.config.yaml_files import parse_assignments
    from amtts_core.synthesis.kept_voices import kept_voices, save_voice

    if recording is None:
        kept = {known: str(file) for known, file in sorted(kept_voices(checkpoint).items())}
        console.result(
            {"voices": kept}, lines=[f"{known}  {file}" for known, file in kept.items()] or ["none"]
        )
        return
    if not name:
        raise AmttsError("a voice needs a name", remedy=f"Give --name, such as --name {recording.stem}")
    settings = dict(parse_assignments(assignments or []).get("model", {}))
    backend = read_checkpoint(checkpoint).load_backend(settings or None)
    file = save_voice(checkpoint, recording, name=name, backend=backend)
    console.result(
        {"name": name, "file": str(file)},
        lines=[f"kept {file}; speak with it: amtts synthesize --checkpoint {checkpoint} --voice {name} …"],
    )
