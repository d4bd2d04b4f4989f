"""`amtts merge`: several corpora become one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amtts_cli import console
from amtts_cli.options import Json, OutDir

if TYPE_CHECKING:
    from amtts_core.corpus.merge import MergeReport


def merge(
    corpora: Annotated[list[Path], typer.Argument(help="Corpus folders made by `amtts prepare`.")],
    out: OutDir,
    sample_rate: Annotated[
        int, typer.Option("--sample-rate", min=0, help="Resample to this rate, Hz; 0 wants equal rates.")
    ] = 0,
    same_speakers: Annotated[
        bool, typer.Option("--same-speakers", help="Take speakers of the same name for the same person.")
    ] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the audio instead of linking it.")] = False,
    renormalize: Annotated[
        bool, typer.Option("--renormalize", help="Normalize all texts as the first corpus was.")
    ] = False,
    val: Annotated[float, typer.Option("--val", help="Share of the sentences for validation.")] = 0.05,
    test: Annotated[float, typer.Option("--test", help="Share of the sentences for testing.")] = 0.05,
    max_rejected: Annotated[
        float, typer.Option("--max-rejected", help="Fail when a larger share of the rows is rejected.")
    ] = 0.3,
    json: Json = False,
) -> None:
    """Join corpora: ids made unique, speakers kept apart, licenses listed, splits made anew.

    Audio is hard-linked where the file system can, otherwise copied. What is left out stands in OUT/rejected.jsonl
    with its reason; the corpora themselves stay as they are. Where a corpus was edited in the studio, its edits.jsonl
    is applied; of one corpus alone that makes a new version of it.

    Example: amtts merge corpus-a corpus-b --out corpus --sample-rate 22050
    """
    from amtts_core.corpus.merge import MergeSettings, merge_corpora

    settings = MergeSettings(
        sample_rate=sample_rate,
        same_speakers=same_speakers,
        copy=copy,
        renormalize=renormalize,
        val=val,
        test=test,
        max_rejected=max_rejected,
    )
    report = merge_corpora(corpora, out, settings)
    for warning in report.warnings:
        console.warn(warning)
    console.result(report.model_dump(), lines=_lines(report))


def _lines(report: MergeReport) -> list[str]:
    reasons = ", ".join(f"{count} {rule}" for rule, count in report.reasons.items())
    reasons = f": {reasons}" if reasons else ""
    renamed = ", ".join(f"{old} -> {new}" for old, new in list(report.renamed_speakers.items())[:10])
    splits = ", ".join(f"{name} {part.utterances}" for name, part in report.splits.items())
    kept = ", ".join(f"{name} {count}" for name, count in report.corpora.items())
    licenses = "; ".join(
        f"{name}: {', '.join(said) or 'not stated'}" for name, said in report.licenses.items()
    )
    lines = [
        f"{report.total} in = {report.kept} kept ({kept}) + {report.dropped} dropped" + reasons,
        f"{report.speakers} speaker(s); {splits}; {report.resampled} resampled"
        + (f", {report.corrected} corrected by hand" if report.corrected else ""),
        f"licenses: {licenses}",
    ]
    if renamed:
        lines.append(f"speakers renamed: {renamed}")
    return [*lines, f"corpus: {report.out} (manifest.jsonl, rejected.jsonl, report.html)"]
