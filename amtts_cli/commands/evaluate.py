"""`amtts evaluate`: measures voices on test texts, beside the recordings, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amtts_cli import console
from amtts_cli.devices import usable_device
from amtts_cli.options import ExecutorName, Json
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from amtts_core.evaluation.evaluate import Evaluation
    from amtts_core.evaluation.intervals import Estimate

ALL = "text,quality,speaker,prosody,signal,alignment"


def evaluate(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for report.html, report.json and the speech.")
    ] = Path("evaluation"),
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="Checkpoint or run folder; repeat to compare several."),
    ] = None,
    wavs: Annotated[
        list[Path] | None,
        typer.Option(
            "--wavs", help="Folder with ID.wav, the speech of any other system; repeat for several."
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of a system in the report, checkpoints first, then folders."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="Test texts with recordings, e.g. data/test.jsonl.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Take so many of the manifest; 0 takes all.")
    ] = 0,
    public_list: Annotated[
        bool,
        typer.Option("--public-list/--no-public-list", help="Speak the fixed public list of texts, too."),
    ] = True,
    recognizer: Annotated[
        str,
        typer.Option(
            "--recognizer",
            help="Run of `amtts train --backend recognizer`, a Hugging Face model by folder or name; empty takes the "
            "one that comes along, for synthetic speech only.",
        ),
    ] = "",
    copies: Annotated[
        bool,
        typer.Option(
            "--copies", help="Measure copies of the recordings through each checkpoint's vocoder, too."
        ),
    ] = False,
    metrics: Annotated[str, typer.Option("--metrics", help="Groups of figures, with commas between.")] = ALL,
    language: Annotated[str, typer.Option("--language", help="Language of the texts.")] = "am",
    speaker: Annotated[str, typer.Option("--speaker", help="Speaker of checkpoints with several.")] = "",
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the checkpoints' sampling.")
    ] = 0,
    players: Annotated[int, typer.Option("--players", min=0, help="Texts with sound inside the page.")] = 60,
    listening_test: Annotated[
        Path | None,
        typer.Option(
            "--listening-test", help="Folder for a page on which people judge the speech, and its key."
        ),
    ] = None,
    listening_kind: Annotated[str, typer.Option("--listening-kind", help="mos, ab or mushra.")] = "mos",
    listening_texts: Annotated[int, typer.Option("--listening-texts", min=1, help="Texts of the page.")] = 20,
    collect: Annotated[
        list[Path] | None,
        typer.Option(
            "--collect", help="Answers of listeners, files or folders: score them; nothing else is done."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    executor: ExecutorName = "local",
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Processes; 0 uses every core.")] = 1,
    json: Json = False,
) -> None:
    """Measure voices: errors by a recognizer beside its floor, naturalness, similarity, prosody, with intervals.

    An interrupted evaluation goes on where it stopped when it is started again with the same --out.

    Example: amtts evaluate --checkpoint run --manifest data/test.jsonl --out evaluation

    Example: amtts evaluate --listening-test page --collect answers
    """
    if collect:
        _score(listening_test, collect)
        return
    from amtts import evaluate as measure
    from amtts_core.evaluation.report.as_json import as_dict
    from amtts_core.memory import keep_few_kernels

    keep_few_kernels()
    usable_device(device)
    asked = tuple(name.strip() for name in metrics.split(",") if name.strip())
    with console.progress() as progress:
        tasks = {}

        def report(system: str, done: int, total: int) -> None:
            if system not in tasks:
                tasks[system] = progress.add_task(system, total=total, note="")
            progress.update(tasks[system], completed=done)

        found = measure(
            checkpoints or [],
            out,
            manifest=manifest,
            wavs=wavs or [],
            names=names or [],
            limit=limit,
            public_list=public_list,
            recognizer=recognizer,
            copies=copies,
            metrics=None if metrics == ALL else asked,
            language=language,
            speaker=speaker,
            seed=seed,
            players=players,
            device=device,
            executor=executor,
            jobs=jobs,
            on_progress=report,
        )
    if listening_test is not None:
        _write_listening_test(found, listening_test, listening_kind, listening_texts)
    if json:
        values = as_dict(found)
        console.result(
            {name: values[name] for name in values if name != "rows"} | {"report": str(out / "report.html")}
        )
    else:
        _show(found)
        console.out(f"report: {out / 'report.html'}, every hypothesis: {out / 'report.json'}")


def _show(found: Evaluation) -> None:
    from amtts_core.evaluation.report.page import MAIN
    from amtts_core.evaluation.report.words import FIGURES, shown

    both = any(s.subset == "out-of-domain" for s in found.summaries)
    chosen = ("in-domain", "out-of-domain") if both else ("all",)
    summaries = [s for s in found.summaries if s.subset in chosen]
    names = [name for name in MAIN if any(name in s.figures for s in summaries)]
    rows = [
        [FIGURES[name].name, *(_cell(name, summary.figures.get(name)) for summary in summaries)]
        for name in names
    ]
    heads = [f"{s.system}, {s.subset} ({s.utterances})" for s in summaries]
    console.table("95 % intervals in brackets", ["", *heads], rows)
    for finding in found.findings:
        if finding.verdict:
            console.out(
                f"{finding.second} against {finding.first}: {FIGURES[finding.figure].name} {finding.verdict} "
                f"({shown(finding.figure, finding.comparison.difference.value)}, p {finding.comparison.p_value:.4f})"
            )
    for group, why in found.skipped.items():
        console.warn(f"not measured: {group}: {why}")
    for system, ids in found.silent.items():
        console.warn(f"{system}: {len(ids)} of {len(found.rows[system])} are silent, first {ids[0]}")


def _cell(name: str, estimate: Estimate | None) -> str:
    from amtts_core.evaluation.report.words import shown

    if estimate is None:
        return "–"
    low, high = (shown(name, value).split()[0] for value in (estimate.low, estimate.high))
    return f"{shown(name, estimate.value)} [{low}, {high}]"


def _write_listening_test(found: Evaluation, folder: Path, kind: str, texts: int) -> None:
    from amtts_core.evaluation.listening.design import design
    from amtts_core.evaluation.listening.page import write_test

    page, key = write_test(design(found.rows, kind=kind, texts=texts), folder)
    console.log(f"listening test: send {page} to listeners, keep {key} to yourself")


def _score(folder: Path | None, results: list[Path]) -> None:
    from dataclasses import asdict

    from amtts_core.evaluation.listening.score import score

    if folder is None:
        raise AmttsError(
            "--collect needs the test", remedy="Give the folder of its key: --listening-test FOLDER"
        )
    found = score(folder / "listening-key.json", results)
    lines = [
        f"{len(found.listeners)} listeners" + (f", {len(found.left_out)} left out" if found.left_out else "")
    ]
    lines += [f"{listener} is left out: {why}" for listener, why in found.left_out.items()]
    lines += [
        f"{system}: {e.value:.2f} [{e.low:.2f}, {e.high:.2f}], {e.count} answers"
        for system, e in found.systems.items()
    ]
    lines += [
        f"{p.first} {p.first_chosen}, {p.second} {p.second_chosen}, no difference {p.ties} (p {p.p_value:.4f})"
        for p in found.preferences
    ]
    console.result(asdict(found), lines=lines)
