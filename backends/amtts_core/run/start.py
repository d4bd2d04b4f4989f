"""How a training run is started: from what a user says to settings, a backend and the options of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amtts_core.config.run_config import RunConfig, resolve_config
from amtts_core.config.yaml_files import read_config_file
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError, command
from amtts_core.finetune.init_weights import open_init_weights
from amtts_core.run.folder import stored_config
from amtts_core.run.options import RunOptions
from amtts_core.settings import merged


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """What a user says about a run.

    Attributes:
        data: corpus folder made by `amtts prepare`.
        run: folder of the run.
        backend: its name; empty takes that of `start_from` or of the settings file.
        preset: named size of the network.
        config: settings file, or its values.
        overrides: nested settings that win over the file.
        start_from: weights to begin with: a run, a checkpoint, or a folder of `amtts extend-vocab`.
        tokenizer: tokenizer folder; None takes that of `start_from`, or `data/tokenizer`.
        resume: continue the run in `run`.
        force: with `resume`, go on with other data or settings where that is safe.
        from_scratch: begin again in `run`; the earlier run is moved aside.
        auto_batch: look for the largest batches that fit.
        dry_run: it is only tried.
        feedback: folder with corrected words.
        jobs: threads for features; 0 takes every core.
    """

    data: Path
    run: Path
    backend: str = ""
    preset: str = ""
    config: Path | Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None
    start_from: Path | None = None
    tokenizer: Path | None = None
    resume: bool = False
    force: bool = False
    from_scratch: bool = False
    auto_batch: bool = False
    dry_run: bool = False
    feedback: Path | None = None
    jobs: int = 0


def resolve_start(asked: StartRequest) -> tuple[RunConfig, type[Backend], RunOptions]:
    """Settings, backend class and options of the run that is asked for; nothing is written.

    Raises:
        AmttsError: parts that exclude each other, weights that cannot be used, or settings that are wrong.
    """
    _refuse_contradictions(asked)
    overrides = dict(asked.overrides or {})
    for key, value in (("backend", asked.backend), ("preset", asked.preset)):
        if value:
            overrides[key] = value
    init = None
    if asked.resume and asked.config is None:
        resolved, chosen = stored_config(asked.run, overrides)
        stored, _ = stored_config(asked.run, {})
        if resolved.preset != stored.preset:  # the stored sizes would win over the preset's without a word
            raise AmttsError(
                f"cannot resume {asked.run} with preset '{resolved.preset}': it was started with '{stored.preset}'",
                remedy="Leave --preset out, or start a new run",
            )
    else:
        config = asked.config
        given = config if isinstance(config, Mapping) else read_config_file(config) if config else {}
        values = dict(given)
        if asked.start_from:
            named = str(overrides.get("backend") or values.get("backend") or "")
            init = open_init_weights(asked.start_from, backend=named, tokenizer=asked.tokenizer)
            values = merged(init.settings(), values)
        source = str(config) if isinstance(config, Path) else "options"
        resolved, chosen = resolve_config(values, overrides=overrides, source=source)
    options = RunOptions(
        data=asked.data,
        run=asked.run,
        tokenizer=asked.tokenizer,
        init=init,
        feedback=asked.feedback,
        resume=asked.resume,
        force=asked.force,
        from_scratch=asked.from_scratch,
        auto_batch=asked.auto_batch,
        jobs=asked.jobs or os.cpu_count() or 1,
    )
    return resolved, chosen, options


def _refuse_contradictions(asked: StartRequest) -> None:
    if asked.resume and asked.from_scratch:
        raise AmttsError("--resume and --from-scratch exclude each other")
    if asked.resume and (asked.dry_run or asked.auto_batch):
        raise AmttsError(
            f"{'--dry-run' if asked.dry_run else '--auto-batch'} belongs to a new run, --resume to one that has begun",
            remedy="Leave one of them out; --set data.batch_seconds=N changes batches on resume",
        )
    if asked.dry_run and asked.auto_batch:
        raise AmttsError("--dry-run and --auto-batch exclude each other", remedy="Use one after the other")
    if asked.dry_run and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise AmttsError("--dry-run tries one process only", remedy="Start it without torchrun")
    if asked.force and not asked.resume:
        raise AmttsError("--force belongs to --resume", remedy="Begin anew in a folder with --from-scratch")
    if asked.start_from and (asked.resume or asked.preset):
        other = "--resume" if asked.resume else "--preset"
        why = "a resumed run goes on by itself" if asked.resume else "the weights fix the sizes"
        raise AmttsError(f"--from and {other} exclude each other: {why}", remedy=f"Leave {other} out")
    unready = asked.dry_run or asked.auto_batch
    if asked.feedback and (unready or not (asked.start_from or asked.resume)):
        wanted = "a new run with --from" if unready else "weights to correct"
        again = ("amtts", "train", "--from", "RUN", "--feedback", asked.feedback, "--data", asked.data)
        raise AmttsError(
            f"--feedback {asked.feedback} needs {wanted}", remedy=command(*again, "--out", "NEW_RUN")
        )
