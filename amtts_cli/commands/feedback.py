"""`amtts feedback collect`: which words and sentences a person should record to mend a voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.help import Command, Group
from amtts_cli.options import Json

feedback = typer.Typer(cls=Group, no_args_is_help=True, help="Correct a voice: find what it says wrongly.")


@feedback.callback()
def about() -> None:
    """Correct a voice: find what it says wrongly."""


@feedback.command("collect", cls=Command)
def collect(
    report: Annotated[Path, typer.Argument(help="report.json of `amtts evaluate`.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the texts to record and the recording sheet.")
    ],
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="Recording time at most.")] = 10.0,
    system: Annotated[str, typer.Option("--system", help="Name of the voice in a report with several.")] = "",
    json: Json = False,
) -> None:
    """Choose the worst words and sentences of an evaluation, and write a sheet to record them from.

    Save each recording beside its text; the folder is then what `amtts train --feedback` reads.

    Example: amtts feedback collect evaluation/report.json --minutes 5 --out corrections
    """
    from amtts_core.evaluation.corrections import choose, read_rows, write_sheet

    chosen = choose(read_rows(report, system), minutes=minutes)
    page = write_sheet(chosen, out)
    seconds = sum(correction.seconds for correction in chosen)
    words = sum(correction.kind == "word" for correction in chosen)
    console.result(
        {"words": words, "sentences": len(chosen) - words, "seconds": round(seconds, 1), "sheet": str(page)},
        lines=[
            f"to record: words {words}, sentences {len(chosen) - words}, about {seconds / 60:.1f} min: {page}",
            f"then: amtts train --from VOICE --feedback {out} --data CORPUS --out NEW",
        ],
    )
