"""Training types: which parameters are trained, which rows stay bit for bit, the learning rate of each part.

Decided once before the loop, from the settings, what the backend declares and which tokens are new. What has to happen
at every step is a `StepRule`; the loop knows no training type.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.learner import Learner
from amtts_core.errors import ConfigError
from amtts_core.nn.freeze import (
    FrozenRows,
    LateStart,
    freeze_modules,
    freeze_original_tokens,
    original_token_ids,
    parameters_below,
)
from amtts_core.nn.lora import add_lora, choose_trainable, describe_adapters, lora_targets
from amtts_core.nn.scaled_rows import ScaledRows
from amtts_core.nn.step_rules import StepRule

logger = logging.getLogger(__name__)
NEEDS_WEIGHTS = "training.type '{}' trains few parameters and needs initial weights"


def choose_parameters(
    backend: Backend,
    training: TrainingConfig,
    *,
    new_tokens: Sequence[int],
    pretrained: bool,
    fresh: Collection[str] = (),
) -> dict[str, Any]:
    """Puts adapters into the network and switches gradients, as the settings say.

    Phases without a text table (a discriminator) are trained whole. What the network itself has frozen stays frozen.

    Args:
        backend: its network is changed in place; its weights are loaded already.
        training: type, adapters, what is frozen.
        new_tokens: ids that `amtts extend-vocab` added to the vocabulary it starts from.
        pretrained: it starts from trained weights.
        fresh: parameters missing from the initial weights; they are random, so they are always trained.

    Returns:
        What a checkpoint has to know to merge the adapters; empty without such.

    Raises:
        ConfigError: a type or freeze that would train nothing, or has nothing to refer to.
    """
    check_trainable(backend, training, new_tokens=new_tokens, pretrained=pretrained)
    adapters: dict[str, Any] = {}
    if training.type != "full":
        adapters = _restrict(backend, training, fresh)
    if training.freeze.modules and not training.freeze.until:
        freeze_modules(backend.network, training.freeze.modules)
    learner = backend.learner()
    for phase in learner.phases:
        if not learner.parameters(phase):
            raise ConfigError(
                f"training.type '{training.type}' and training.freeze leave nothing to train in phase '{phase}'",
                remedy="Freeze fewer modules",
            )
    return adapters


def check_trainable(
    backend: Backend, training: TrainingConfig, *, new_tokens: Sequence[int], pretrained: bool
) -> None:
    """Refuses settings that `choose_parameters` will refuse, as far as that is known without weights.

    Args:
        backend: its network is built, without adapters.
        training: type, adapters, what is frozen.
        new_tokens: ids that `amtts extend-vocab` added to the vocabulary it starts from.
        pretrained: it starts from trained weights.

    Raises:
        ConfigError: a type or freeze that has nothing to refer to.
    """
    if training.type != "full" and not pretrained:
        raise ConfigError(
            NEEDS_WEIGHTS.format(training.type), remedy="Name them with --from DIR, or use training.type=full"
        )
    _check_new_tokens(training, new_tokens)
    if training.freeze.modules:
        parameters_below(backend.network, training.freeze.modules)
    if training.type != "full" and not backend.text_tensors():
        raise ConfigError(f"training.type '{training.type}': backend '{backend.spec.name}' uses no text")
    if training.type.startswith("lora"):
        lora_targets(backend.network, _lora_patterns(backend, training))


def _lora_patterns(backend: Backend, training: TrainingConfig) -> Sequence[str]:
    patterns = training.lora.targets or backend.spec.fine_tuning.lora_targets
    if not patterns:
        raise ConfigError(
            f"backend '{backend.spec.name}' names no layers for LoRA",
            remedy="Name some with training.lora.targets",
        )
    return patterns


def _check_new_tokens(training: TrainingConfig, new_tokens: Sequence[int]) -> None:
    if new_tokens:
        return
    wanted = [
        name
        for name, given in (
            ("training.freeze.original_tokens", training.freeze.original_tokens),
            ("training.type 'lora+new-tokens'", training.type == "lora+new-tokens"),
        )
        if given
    ]
    if wanted:
        raise ConfigError(
            f"{wanted[0]}: the weights this run starts from have no new text rows",
            remedy="Make some with `amtts extend-vocab` and start with --from DIR",
        )


def _restrict(backend: Backend, training: TrainingConfig, fresh: Collection[str]) -> dict[str, Any]:
    network, rows = backend.network, backend.text_tensors()
    before = {id(p): p.requires_grad for p in network.parameters()}
    others = _without_text(backend.learner(), network, [row.tensor for row in rows])
    others |= {id(parameter) for name, parameter in network.named_parameters() if name in fresh}
    adapters: dict[str, Any] = {}
    if training.type.startswith("lora"):
        lora, patterns = training.lora, _lora_patterns(backend, training)
        # Opening a codec for the first time draws random numbers; adapters must not depend on whether that happened.
        torch.manual_seed(training.seed)
        targets = add_lora(network, patterns, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)
        adapters = describe_adapters(network, targets, rank=lora.rank, alpha=lora.alpha)
    choose_trainable(network, training.type, rows)
    for parameter in network.parameters():
        able = before.get(id(parameter), True)  # an adapter's is new
        parameter.requires_grad_(able and (parameter.requires_grad or id(parameter) in others))
    return adapters


def _without_text(learner: Learner, network: nn.Module, tables: Sequence[str]) -> set[int]:
    """The parameters of phases that have no text table."""
    texts = {id(p) for name, p in network.named_parameters() if name in tables}
    found: set[int] = set()
    for phase in learner.phases:
        members = {id(p) for p in learner.parameters(phase)}
        if not members & texts and len(learner.phases) > 1:
            found |= members
    return found


def step_rules(
    backend: Backend,
    learner: Learner,
    training: TrainingConfig,
    new_tokens: Sequence[int],
    *,
    step: Callable[[], int],
) -> dict[str, list[StepRule]]:
    """What holds at every step, by phase: parts that wait, frozen rows, slower rows.

    Call it when the network is on its device and has its weights; `step` returns the number of the step being made.
    """
    found: dict[str, list[StepRule]] = {phase: [] for phase in learner.phases}
    if training.freeze.until:
        waiting = {id(p): p for p in parameters_below(backend.network, training.freeze.modules).values()}
        for phase in learner.phases:
            late = [p for p in learner.parameters(phase) if id(p) in waiting]
            if late:
                found[phase].append(LateStart(late, begin=training.freeze.until, step=step))
    if not new_tokens:
        return found
    rows, rates = backend.text_tensors(), training.optim.rates
    parameters = dict(backend.network.named_parameters())
    frozen = training.freeze.original_tokens or training.type == "lora+new-tokens"
    for phase in learner.phases:
        own = {id(p) for p in learner.parameters(phase)}
        tables = [row for row in rows if id(parameters[row.tensor]) in own]
        if not tables:
            continue
        if frozen:
            found[phase].append(freeze_original_tokens(backend.network, tables, new_tokens))
            continue
        for kind in ("new_tokens", "heads"):
            whole = getattr(rates, kind)
            members = [
                (parameters[row.tensor], original_token_ids(parameters[row.tensor], new_tokens))
                for row in tables
                if (row.kind == "embedding") == (kind == "new_tokens")
            ]
            if members and whole != rates.old_tokens:
                if not whole:
                    raise ConfigError(
                        f"training.optim.rates.{kind} is 0 and old_tokens is not",
                        remedy="Set old_tokens to 0 too",
                    )
                found[phase].append(ScaledRows(members, factor=rates.old_tokens / whole))
    return found


def parameter_kinds(backend: Backend, training: TrainingConfig) -> dict[int, str]:
    """`id` of a parameter -> its field of `training.optim.rates`; empty where all parts have the same rate."""
    rates = training.optim.rates
    if rates.new_tokens == rates.heads == rates.speaker_encoder == rates.other:
        return {}
    parameters = dict(backend.network.named_parameters())
    hearing = [p for name, p in parameters.items() if name.startswith(_encoder_prefixes(backend))]
    if rates.speaker_encoder != 1 and not any(parameter.requires_grad for parameter in hearing):
        logger.warning(
            "training.optim.rates.speaker_encoder is %g, and no encoder of reference audio is trained",
            rates.speaker_encoder,
        )
    texts = {
        id(parameters[row.tensor]): "new_tokens" if row.kind == "embedding" else "heads"
        for row in backend.text_tensors()
    }
    return texts | {id(parameter): "speaker_encoder" for parameter in hearing}


def _encoder_prefixes(backend: Backend[Any]) -> tuple[str, ...]:
    declared = backend.spec.reference_audio
    return declared.encoder_prefixes if declared else ()


def frozen_names(network: nn.Module) -> set[str]:
    """Names of the parameters that are not trained."""
    return {name for name, parameter in network.named_parameters() if not parameter.requires_grad}


def restore_frozen_rows(
    rules: Mapping[str, Iterable[StepRule]], network: nn.Module, copy: Mapping[str, torch.Tensor]
) -> None:
    """Writes frozen rows into a copy of the state dict (an average), where rounding may have touched them."""
    frozen = [rule for members in rules.values() for rule in members if isinstance(rule, FrozenRows)]
    if not frozen:
        return
    copies = {id(parameter): copy[name] for name, parameter in network.named_parameters() if name in copy}
    for rule in frozen:
        rule.write_into(copies)
