"""`amtts studio`: the road from recordings to a voice in a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from amtts_core.errors import AmttsError


def studio(
    folder: Annotated[
        Path,
        typer.Option("--folder", help="Workspace: everything is read from it and written into it."),
    ] = Path("studio"),
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but this machine's own needs a login.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 7860,
    auth_file: Annotated[
        Path | None,
        typer.Option("--auth-file", help="File of name:password lines; AMTTS_STUDIO_LOGIN adds one."),
    ] = None,
    language: Annotated[
        str,
        typer.Option(
            "--language", help="Language of the first page: am or en; each page leads to the other."
        ),
    ] = "en",
    device: Annotated[
        str, typer.Option("--device", help="Where the Speak tab computes: cpu, cuda, cuda:1 …")
    ] = "cpu",
    max_upload: Annotated[
        int, typer.Option("--max-upload", min=1, help="Largest file that is taken, MiB.")
    ] = 1024,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A name besides localhost by which it is called.")
    ] = None,
) -> None:
    """Do the whole road in a browser: import, tokenize, train, speak, evaluate.

    Long work runs as processes of its own: closing the browser or stopping the studio loses nothing. Nothing is asked
    of another machine.

    Example: amtts studio --folder my-voice
    """
    from amtts_cli.studio.jobs import JobTable
    from amtts_cli.studio.login import read_login
    from amtts_cli.studio.run import check_address, run
    from amtts_cli.studio.strings import LANGUAGES, Say
    from amtts_cli.studio.studio import Studio
    from amtts_cli.studio.workspace import Workspace

    chosen = next((known for known in LANGUAGES if known == language), None)
    if chosen is None:
        raise AmttsError(f"--language {language} is unknown; expected one of: {', '.join(LANGUAGES)}")
    login = read_login(auth_file, os.environ)
    check_address(host, login)
    workspace = Workspace.open(folder)
    made = Studio(
        workspace,
        JobTable(workspace.root, workspace.jobs),
        Say(chosen),
        device=device,
        largest_upload=max_upload << 20,
    )
    run(made, login, host=host, port=port, language=chosen, hosts=tuple(allow_host or ()))
