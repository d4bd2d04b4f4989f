"""`amtts push`: a voice to a repository on the Hugging Face hub, with a model card of what is known."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json


def push(
    repository: Annotated[str, typer.Argument(help="org/name on the Hugging Face hub.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Run or checkpoint folder.")],
    half: Annotated[bool, typer.Option("--half", help="Weights in half precision: half the size.")] = False,
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who may see a repository that is made.")
    ] = True,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be sent; so it is without a token.")
    ] = False,
    json: Json = False,
) -> None:
    """Send a voice with its model card to the Hugging Face hub. Without a token it only lists what would be sent.

    The card says what the voice was trained with, the license and consent of its data, its metrics, and holds a sample.
    Then `amtts.load("org/name")` and `amtts synthesize --checkpoint org/name` speak with it.

    Example: amtts push my-org/amharic-voice --checkpoint run
    """
    from amtts_core.checkpoints.checkpoint import read_checkpoint
    from amtts_core.checkpoints.hub import check_name, hub_token, upload
    from amtts_core.run.export import VOICE, export_voice
    from amtts_core.synthesis.model_card import with_hub_header

    check_name(repository)
    found = read_checkpoint(checkpoint)
    token = None if dry else hub_token()
    with tempfile.TemporaryDirectory(prefix="amtts-push-") as place:
        folder = Path(place) / "voice"
        folder.mkdir()
        export_voice(found, found.load_backend(), folder, format=VOICE, half=half)
        with_hub_header(folder, found.info)
        files = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        commit = upload(folder, repository, token=token, private=private) if token else ""
    lines = [f"{name}  {size} bytes" for name, size in files.items()]
    if commit:
        lines.append(f"sent to {repository}, commit {commit}")
        lines.append(
            f"speak with it: amtts synthesize --checkpoint {repository}@{commit[:12]} TEXT --out hello.wav"
        )
    else:
        why = "--dry-run" if dry else "no token: log in with `hf auth login`, or set HF_TOKEN"
        lines.append(f"nothing was sent to {repository} ({why})")
    console.result(
        {"repository": repository, "files": files, "sent": bool(commit), "commit": commit}, lines=lines
    )
