"""What a trainer sets up before its first step: processes and precision, the data's fitness, the network's wrapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.check import checked_learner
from amtts_core.contract.learner import Learner
from amtts_core.data.dataset import SpeechDataset
from amtts_core.errors import AmttsError
from amtts_core.finetune.trainable import parameter_kinds, step_rules
from amtts_core.nn.bf16_check import require_sound
from amtts_core.nn.step_rules import StepRule
from amtts_core.training.batch_loader import BatchLoader
from amtts_core.training.blocks import prepare_blocks
from amtts_core.training.distributed.processes import Processes, on_cpus
from amtts_core.training.distributed.shards import Shards, split
from amtts_core.training.optimizers import PhaseOptimizers


@dataclass(frozen=True)
class PreparedNetwork:
    """A backend's network on its device, wrapped for training."""

    learner: Learner
    shards: Shards | None
    optimizers: PhaseOptimizers
    rules: Mapping[str, Sequence[StepRule]]
    """Phase -> rules of its steps."""


def make_accelerator(training: TrainingConfig) -> Accelerator:
    """The processes, device and precision of a run.

    Raises:
        AmttsError: this machine lacks the precision, or this process began with another.
    """
    mixed = {"fp32": "no"}.get(training.precision, training.precision)
    try:
        return Accelerator(mixed_precision=mixed, cpu=on_cpus())
    except ValueError as error:
        raise AmttsError(
            f"training.precision {training.precision} cannot be used here: {error}",
            remedy="Use --set training.precision=fp32",
        ) from None


def check_data(
    train_data: SpeechDataset, val_data: SpeechDataset | None, training: TrainingConfig, processes: Processes
) -> None:
    """Refuses data that the settings cannot be used with.

    Raises:
        AmttsError: fewer utterances than processes, or a plateau without validations.
    """
    if len(train_data) < processes.count:
        raise AmttsError(f"{len(train_data)} training utterances are too few for {processes.count} processes")
    if training.optim.schedule == "plateau" and not val_data:
        raise AmttsError(
            "training.optim.schedule plateau waits for validations, and there is no validation utterance",
            remedy="Use another schedule, such as cosine",
        )


def prepare_network(
    backend: Backend,
    training: TrainingConfig,
    *,
    accelerator: Accelerator,
    processes: Processes,
    loader: BatchLoader,
    new_tokens: Sequence[int],
    step: Callable[[], int],
) -> PreparedNetwork:
    """Moves the network to its device and wraps it: blocks, precision, shards, optimizers, rules of a step.

    Args:
        backend: its network holds its weights.
        training: settings.
        accelerator, processes: of the run.
        loader: whose shortest utterance is the dummy batch of a sharded network.
        new_tokens: ids that `amtts extend-vocab` added.
        step: returns the number of the step that is being made.

    Raises:
        AmttsError: a setting that this machine or backend lacks.
    """
    backend.network.to(accelerator.device)
    processes.broadcast_weights(backend.network)
    prepare_blocks(backend, training)
    learner = checked_learner(backend)
    if training.precision == "bf16" and accelerator.device.type == "cpu":
        require_sound(
            learner.modules,
            torch.bfloat16,
            asked="training.precision bf16",
            remedy="Use --set training.precision=fp32",
        )
    shortest = int(loader.sampler.durations.argmin())
    shards = split(
        backend,
        learner,
        training,
        new_tokens=new_tokens,
        processes=processes,
        device=accelerator.device,
        dummy_batch=lambda: loader.data.batch([shortest]),
    )
    kinds = parameter_kinds(backend, training)
    optimizers = PhaseOptimizers(accelerator, learner, training.optim, kinds=kinds)
    rules = step_rules(backend, learner, training, new_tokens, step=step)
    for name, module in learner.modules.items():
        # evaluation_mode: precision without DistributedDataParallel, see `processes`
        learner.modules[name] = accelerator.prepare_model(module, evaluation_mode=True)
    return PreparedNetwork(learner, shards, optimizers, rules)
