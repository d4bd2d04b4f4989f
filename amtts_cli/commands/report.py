"""`amtts report`: a corpus as a page that a person can look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json


def report(
    folder: Annotated[Path, typer.Argument(help="Corpus folder made by `amtts prepare` or `amtts merge`.")],
    embed_audio: Annotated[
        bool,
        typer.Option(
            "--embed-audio/--link-audio",
            help="Put the worst utterances' audio inside (up to 12 MB), or play it from the corpus folder.",
        ),
    ] = True,
    json: Json = False,
) -> None:
    """Write report.html and report.json into a corpus folder anew.

    Hours, measures, fidel coverage, what was rejected, and the twenty utterances to listen to first.

    Example: amtts report demo/corpus
    """
    from amtts_core.corpus.report.build import DATA, PAGE, write_report

    made = write_report(folder, embed_audio=embed_audio)
    lines = [
        f"{made.total} in = {made.kept} kept + {made.rejected} rejected, {made.seconds / 60:.1f} minutes of speech",
        f"{made.letters_seen} of {len(made.letters)} letters, {len(made.worst)} utterances to listen to first",
        f"report: {folder / PAGE}, {folder / DATA}",
    ]
    console.result(
        made.model_dump(exclude={"letters", "histograms"}) | {"page": str(folder / PAGE)}, lines=lines
    )
