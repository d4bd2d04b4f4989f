"""`amtts train`: a voice from a prepared corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amtts_cli import console
from amtts_cli.options import Assignments, ConfigFile, Jobs, Json
from amtts_core.errors import AmttsError, command

if TYPE_CHECKING:
    from amtts_core.run.dry_run import DryRun
    from amtts_core.run.run import TrainingResult


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
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, help="Optimiser steps.")] = None,
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
        int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Of everything random.")
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
        typer.Option("--overfit", min=1, help="Learn N utterances by heart: can this set-up learn at all?"),
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
            "--feedback", help="Corrected words, x.wav and x.txt each; learnt with replay of --data."
        ),
    ] = None,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Train a backend on a prepared corpus. Ctrl-C saves and stops; --resume goes on.

    Example: amtts train --backend chatterbox-mel --data data --out run
    """
    import os

    from amtts_cli.training_progress import TrainingProgress
    from amtts_core.config.run_config import resolve_config
    from amtts_core.config.yaml_files import parse_assignments, read_config_file
    from amtts_core.finetune.init_weights import open_init_weights
    from amtts_core.run.dry_run import dry_run
    from amtts_core.run.folder import stored_config
    from amtts_core.run.options import RunOptions
    from amtts_core.run.run import train as run_training
    from amtts_core.settings import merged
    from amtts_core.training.distributed.processes import is_main
    from amtts_core.training.stop_flag import exit_code

    if resume and from_scratch:
        raise AmttsError("--resume and --from-scratch exclude each other")
    if resume and (dry or auto_batch):
        raise AmttsError(
            f"{'--dry-run' if dry else '--auto-batch'} belongs to a new run, --resume to one that has begun",
            remedy="Leave one of them out; --set data.batch_seconds=N changes batches on resume",
        )
    if dry and auto_batch:
        raise AmttsError("--dry-run and --auto-batch exclude each other", remedy="Use one after the other")
    if dry and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise AmttsError("--dry-run tries one process only", remedy="Start it without torchrun")
    if force and not resume:
        raise AmttsError("--force belongs to --resume", remedy="Begin anew in a folder with --from-scratch")
    if start and (resume or preset):
        other = "--resume" if resume else "--preset"
        why = "a resumed run goes on by itself" if resume else "the weights fix the sizes"
        raise AmttsError(f"--from and {other} exclude each other: {why}", remedy=f"Leave {other} out")
    if feedback and (dry or auto_batch or not (start or resume)):
        wanted = "a new run with --from" if dry or auto_batch else "weights to correct"
        raise AmttsError(
            f"--feedback {feedback} needs {wanted}",
            remedy=command(
                *(
                    "amtts",
                    "train",
                    "--from",
                    "RUN",
                    "--feedback",
                    feedback,
                    "--data",
                    data,
                    "--out",
                    "NEW_RUN",
                )
            ),
        )
    overrides = merged(
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
    for key, value in (("backend", backend), ("preset", preset)):
        if value:
            overrides[key] = value
    init = None
    if resume and config is None:
        resolved, chosen = stored_config(out, overrides)
        stored, _ = stored_config(out, {})
        if resolved.preset != stored.preset:  # the stored sizes would win over the preset's without a word
            raise AmttsError(
                f"cannot resume {out} with preset '{resolved.preset}': it was started with '{stored.preset}'",
                remedy="Leave --preset out, or start a new run",
            )
    else:
        values = read_config_file(config) if config else {}
        if start:
            named = str(overrides.get("backend") or values.get("backend") or "")
            init = open_init_weights(start, backend=named, tokenizer=tokenizer)
            values = merged(init.settings(), values)
        resolved, chosen = resolve_config(values, overrides=overrides, source=str(config or "options"))
    run_options = RunOptions(
        data=data,
        run=out,
        tokenizer=tokenizer,
        init=init,
        feedback=feedback,
        resume=resume,
        force=force,
        from_scratch=from_scratch,
        auto_batch=auto_batch,
        jobs=jobs or os.cpu_count() or 1,
    )
    with TrainingProgress() as progress:
        if dry:
            tried = dry_run(resolved, chosen, run_options, on_progress=progress.features)
        else:
            result = run_training(
                resolved, chosen, run_options, callbacks=[progress], on_progress=progress.features
            )
    if dry:
        console.result(tried.__dict__, lines=_dry_run_lines(tried))
        return
    if is_main():
        _print(result, data)
    if code := exit_code(result.outcome.reason):  # `amtts train && amtts synthesize` stops here
        raise typer.Exit(code)


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
    told = {"run": str(result.run), "excluded": result.excluded, **outcome.__dict__}
    if result.feedback is not None:
        told["feedback"] = result.feedback.as_dict()
    console.result(told, lines=lines)
