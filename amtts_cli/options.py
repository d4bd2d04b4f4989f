"""Options that several commands share, so that they read and behave alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console


def _json_switch(value: bool) -> bool:
    console.use_json(value)
    return value


Json = Annotated[
    bool, typer.Option("--json", callback=_json_switch, help="Print the result as one JSON object.")
]
OutDir = Annotated[Path, typer.Option("--out", help="Folder to write into.")]
BackendName = Annotated[str, typer.Option("--backend", help="Backend name, see `amtts backends`.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file, see `amtts config`.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="Override one key, e.g. --set training.max_steps=100.")
]
Lexicon = Annotated[
    Path | None, typer.Option("--lexicon", help="File of your own readings: word<TAB>reading.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=0, help="Worker processes; 0 uses every core.")]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Who does the work: local processes, or ray (pip install 'amtts[ray]'; RAY_ADDRESS names a cluster).",
    ),
]
