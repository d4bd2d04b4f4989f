"""What can be refused before hours of feature computation: precision, disk room, the metric of the best checkpoint."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path

import torch

from amtts_core.checkpoints.folders import checkpoints_of
from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.corpus.manifest import Utterance
from amtts_core.data.dataset import prompt_extractor
from amtts_core.errors import AmttsError
from amtts_core.forgetting.monitor import METRICS
from amtts_core.run.datasets import load_set
from amtts_core.run.inputs import RunInputs
from amtts_core.run.options import RunOptions
from amtts_core.training.setup import make_accelerator

MOMENTS = 2
"""Tensors that AdamW keeps beside each trained one."""


def check_early(backend: Backend, inputs: RunInputs, options: RunOptions) -> None:
    """Refuses what needs no features of the corpus.

    Args:
        backend: built.
        inputs: settings and corpus folder.
        options: where the run is written.

    Raises:
        AmttsError: names the setting, or the room that is missing.
    """
    training = inputs.config.training
    make_accelerator(training)
    if not training.max_steps and not training.max_epochs:
        raise AmttsError("training.max_steps and training.max_epochs are both 0", remedy="Set one of them")
    _check_room(options.run, checkpoint_bytes(backend, training), training)
    _check_best_by(backend, inputs)


def checkpoint_bytes(backend: Backend, training: TrainingConfig) -> int:
    """About how large a checkpoint of a run becomes: weights, their average, and two moments of what is trained."""
    sizes = [t.numel() * t.element_size() for t in backend.network.state_dict().values()]
    trained = sum(p.numel() * 4 for p in backend.network.parameters() if p.requires_grad)
    if training.type != "full":  # few parameters are trained
        trained = 0
    return sum(sizes) * (2 if training.ema_decay else 1) + MOMENTS * trained


def _check_room(run: Path, size: int, training: TrainingConfig) -> None:
    """Room for the checkpoints that are kept, the best one, and the one being written; a short run writes fewer."""
    written = training.keep + 2
    if training.max_steps:
        every = math.gcd(training.save_every, training.validate_every)
        written = min(written, math.ceil(training.max_steps / every))
    there = next(folder for folder in (run, *run.parents) if folder.is_dir())
    missing = max(1, written - len(checkpoints_of(run)))
    try:
        free = shutil.disk_usage(there).free
    except OSError:  # a file system that does not say
        return
    if free < missing * size:
        raise AmttsError(
            f"{there} has {_shown(free)} free; {missing} more checkpoints of about {_shown(size)} need "
            f"{_shown(missing * size)} (training.keep {training.keep}, the best one, and the one being written)",
            remedy="Free space, choose another --out, or lower training.keep",
        )


def _shown(size: float) -> str:
    power = min(4, int(math.log(max(size, 1), 1000)))
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def _check_best_by(backend: Backend, inputs: RunInputs) -> None:
    """Refuses a `training.best_by` other than the backend's own that no validation will measure."""
    training, manifest = inputs.config.training, inputs.data / "val.jsonl"
    name = training.best_by
    usual = backend.spec.training_defaults.get("training", {}).get("best_by", TrainingConfig().best_by)
    guard = training.guard
    given = {"text": bool(guard.old_text), "speech": bool(guard.old_data)}
    scores = {score for what, names in METRICS.items() if given[what] for score in names}
    scores |= set(training.speech_check.METRICS if training.speech_check.recognizer else ())
    if name in (usual, *scores) or not manifest.is_file() or not manifest.stat().st_size:
        return
    if prompt_extractor(backend) is not None:  # its losses need more than the features of one utterance
        return
    measured = _loss_names(backend, inputs) | scores
    if name not in measured:
        raise AmttsError(
            f"training.best_by is '{name}', which is not measured; measured: {', '.join(sorted(measured))}"
        )


def _loss_names(backend: Backend, inputs: RunInputs) -> set[str]:
    """Names of the validation losses, computed for the shortest validation utterance."""
    config = inputs.config
    with tempfile.TemporaryDirectory(prefix="amtts-") as cache, torch.random.fork_rng(), torch.no_grad():
        one = config.model_copy(
            update={"data": config.data.model_copy(update={"cache": cache, "max_excluded": 1.0})}
        )
        data = load_set(
            backend, inputs.data / "val.jsonl", one, jobs=1, codes=config.data.codes, select=_shortest
        )
        learner, batch = backend.learner(), data.batch([0])
        alone = tuple(learner.phases) == ("main",)
        return {
            f"val/{'' if alone else loss.phase + '/'}{name}"
            for loss in learner.losses(batch)
            for name in ("total", *loss.terms)
        }


def _shortest(utterances: list[Utterance]) -> list[Utterance]:
    return [min(utterances, key=lambda utterance: utterance.duration)] if utterances else []
