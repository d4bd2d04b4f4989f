"""`amtts split`: train, val and test of a corpus, made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json


def split(
    data: Annotated[Path, typer.Argument(help="Corpus folder made by `amtts prepare` or `amtts merge`.")],
    val: Annotated[float, typer.Option("--val", help="Share for validation.")] = 0.05,
    test: Annotated[float, typer.Option("--test", help="Share for testing.")] = 0.05,
    by: Annotated[
        str, typer.Option("--by", help="sentence; or speaker: hold whole speakers out as well.")
    ] = "sentence",
    json: Json = False,
) -> None:
    """Split a corpus into train, val and test by a stable hash; no sentence ever stands on two sides.

    With --by speaker no speaker does either: a sentence that several sides say stays with the test set, then with
    val, and the rest of it stands in DATA/split-rejected.jsonl.

    Example: amtts split demo/corpus --val 0.1 --test 0
    """
    from amtts_core.corpus.split_corpus import split_corpus

    report = split_corpus(data, val=val, test=test, by=by)
    for warning in report.warnings:
        console.warn(warning)
    lines = [
        f"{name}: {part.utterances} utterances, {part.seconds / 60:.1f} min, {report.speakers[name]} speaker(s)"
        for name, part in report.splits.items()
    ]
    if report.left_out:
        lines.append(f"left out: {report.left_out}, see {data}/split-rejected.jsonl")
    lines.append(f"report: {data / 'report.html'}, made anew")
    console.result(report.model_dump(), lines=lines)
