"""`amtts train`: a voice from a prepared corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.options import Assignments, ConfigFile, Jobs, Json
from amtts_core.errors import command

if TYPE_CHECKING:
    from amtts_core.run.dry_run import DryRun
    from amtts_core.run.run import TrainingResult
    from amtts_core.run.start import StartRequest


def train(
    data: Annotated[Path, typer.Option("--data", help="Corpus folder made by `amtts prepare`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    backend: Annotated[str, typer.Option("--backend", help="Backend name, see `amtts backends`.")] = "",
    preset: Annotated[str, typer.Option("--preset", help="Named size of the network.")] = "",
    config: ConfigFile = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Weights to start from: a run, a checkpoint, or a folder of `amtts extend-vocab`."
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="Default: that of --from, else DATA/tokenizer.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, help="Optimizer steps.")] = None,
    max_epochs: Annotated[
        int | None, typer.Option("--max-epochs", min=1, help="Passes over the data.")
    ] = None,
    max_samples: Annotated[
        int | None, typer.Option("--max-samples", min=1, help="Utterances to use.")
    ] = None,
    codes: Annotated[
        Path | None, typer.Option("--codes", help="Learn stored codes: a folder of `amtts encode-codes`.")
    ] = None,
    mels_from: Annotated[
        Path | None,
        typer.Option("--mels-from", help="A vocoder learns from the mels that this voice predicts."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of everything random.")
    ] = None,
    assignments: Assignments = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="With --resume: go on with other data or settings where that is safe."),
    ] = False,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Begin again in --out; the earlier run is moved to previous/N."),
    ] = False,
    overfit: Annotated[
        int | None,
        typer.Option("--overfit", min=1, help="Overfit N utterances: can this set-up learn at all?"),
    ] = None,
    dry: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Two steps of everything on the longest utterances: memory and time; no file is left.",
        ),
    ] = False,
    auto_batch: Annotated[
        bool,
        typer.Option("--auto-batch", help="Look for the largest data.batch_seconds that fits into memory."),
    ] = False,
    feedback: Annotated[
        Path | None,
        typer.Option(
            "--feedback", help="Corrected words, x.wav and x.txt each; learned with replay of --data."
        ),
    ] = None,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Train a backend on a prepared corpus. Ctrl-C saves and stops; --resume goes on.

    Example: amtts train --backend chatterbox-mel --data data --out run
    """
    from amtts import train as run_training
    from amtts_cli.training_progress import TrainingProgress
    from amtts_core.config.yaml_files import parse_assignments
    from amtts_core.run.start import StartRequest
    from amtts_core.settings import merged
    from amtts_core.training.distributed.processes import is_main
    from amtts_core.training.stop_flag import exit_code

    settings = merged(
        parse_assignments(assignments or []),
        _options(
            max_steps=max_steps,
            max_epochs=max_epochs,
            max_samples=max_samples,
            seed=seed,
            overfit=overfit,
            codes=codes,
            mels_from=mels_from,
        ),
    )
    if dry:
        request = StartRequest(
            data=data,
            run=out,
            backend=backend,
            preset=preset,
            config=config,
            overrides=settings,
            start_from=start,
            tokenizer=tokenizer,
            resume=resume,
            force=force,
            from_scratch=from_scratch,
            auto_batch=auto_batch,
            dry_run=True,
            feedback=feedback,
            jobs=jobs,
        )
        _try_out(request)
        return
    with TrainingProgress() as progress:
        result = run_training(
            data,
            out,
            backend=backend,
            preset=preset,
            config=config,
            settings=settings,
            start_from=start,
            tokenizer=tokenizer,
            resume=resume,
            force=force,
            from_scratch=from_scratch,
            auto_batch=auto_batch,
            feedback=feedback,
            jobs=jobs,
            callbacks=[progress],
            on_progress=progress.features,
        )
    if is_main():
        _print(result, data)
    if code := exit_code(result.outcome.reason):  # `amtts train && amtts synthesize` stops here
        raise typer.Exit(code)


def _try_out(request: StartRequest) -> None:
    """`--dry-run`: prints time and memory of the run that is asked for."""
    from amtts_cli.training_progress import TrainingProgress
    from amtts_core.run.dry_run import dry_run
    from amtts_core.run.start import resolve_start

    resolved, chosen, options = resolve_start(request)
    with TrainingProgress() as progress:
        tried = dry_run(resolved, chosen, options, on_progress=progress.features)
    console.result(tried.__dict__, lines=_dry_run_lines(tried))


def _options(
    *,
    max_steps: int | None,
    max_epochs: int | None,
    max_samples: int | None,
    seed: int | None,
    overfit: int | None,
    codes: Path | None,
    mels_from: Path | None,
) -> dict[str, Any]:
    training: dict[str, Any] = {}
    if max_epochs is not None:
        training["max_epochs"] = max_epochs
        training["max_steps"] = 0  # --max-epochs alone decides, unless --max-steps is given too
    if max_steps is not None:
        training["max_steps"] = max_steps
    if seed is not None:
        training["seed"] = seed
    data = {
        "max_samples": max_samples,
        "overfit": overfit,
        "codes": str(codes) if codes else None,
        "mels_from": str(mels_from) if mels_from else None,
    }
    data = {key: value for key, value in data.items() if value is not None}
    return {key: value for key, value in (("training", training), ("data", data)) if value}


def _dry_run_lines(tried: DryRun) -> list[str]:
    lines = [
        f"a step {tried.step:.2f} s, a validation {tried.validation:.2f} s, a checkpoint {tried.checkpoint:.2f} s "
        f"({tried.checkpoint_bytes / 1e6:.0f} MB), a round of samples {tried.sample:.2f} s",
        f"memory at most {tried.memory / 2**30:.2f} GiB {'on the GPU' if tried.on_gpu else 'in this process'}, "
        f"with the {tried.utterances} longest utterances",
        f"about {_hours(tried.estimate)} for {tried.total_steps} steps, features aside; nothing was kept",
    ]
    return lines


def _hours(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def _pace(speed: dict[str, float]) -> str:
    busy = f", {speed['speed/mfu']:.1%} of the GPU's peak" if "speed/mfu" in speed else ""
    return (
        f"while learning: {speed['speed/utterances_per_second']:.1f} utterances/s, "
        f"{speed['speed/audio_seconds_per_second']:.0f} s of speech per second, "
        f"{speed['speed/tokens_per_second']:.0f} tokens/s{busy}"
    )


def _print(result: TrainingResult, data: Path) -> None:
    outcome = result.outcome
    lines = [
        f"{outcome.reason} at step {outcome.step}, epoch {outcome.epoch}, after {outcome.seconds:.0f} s "
        f"({outcome.steps_per_second:.2f} steps/s, {outcome.audio_seconds_per_second:.0f} s of speech per second, "
        f"padding {100 * outcome.padding_share:.1f} %, waiting for data {100 * outcome.data_wait_share:.1f} %)",
        *([_pace(outcome.speed)] if outcome.speed else []),
        *(f"{name} {value:.4f}" for name, value in sorted(outcome.metrics.items())),
    ]
    if outcome.best_step is not None:
        lines.append(f"best: step {outcome.best_step} ({outcome.best_metric:.4f})")
    if outcome.reason not in ("finished", "early stop"):
        lines.append(
            "continue with: " + command("amtts", "train", "--data", data, "--out", result.run, "--resume")
        )
    if result.feedback is not None:
        lines += result.feedback.lines()
    if result.speaks:
        words = ("amtts", "synthesize", "--checkpoint", result.run, "ሰላም ለዓለም።", "--out", "hello.wav")
        lines.append(f"speak with: {command(*words)}")
    summary = {"run": str(result.run), "excluded": result.excluded, **outcome.__dict__}
    if result.feedback is not None:
        summary["feedback"] = result.feedback.as_dict()
    console.result(summary, lines=lines)
