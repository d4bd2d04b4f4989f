"""The weights a run begins with: of the checkpoint it resumes, of another model, or random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amtts_core.checkpoints.checkpoint import Checkpoint, load_strict
from amtts_core.contract.backend import Backend
from amtts_core.finetune.trainable import check_trainable, choose_parameters
from amtts_core.run.inputs import RunInputs
from amtts_core.run.options import RunOptions


def fill_weights(backend: Backend, options: RunOptions, previous: Checkpoint | None) -> list[str]:
    """Puts the initial weights into a freshly built backend.

    Args:
        backend: freshly built; its network is changed in place.
        options: initial weights.
        previous: checkpoint to resume, whose weights come later, with adapters; None for a new run.

    Returns:
        Parameters missing from the initial weights: randomly initialized, always trainable.

    Raises:
        AmttsError: the weights do not fit.
    """
    if previous is not None:
        return list(previous.info.began_fresh)
    if options.init is None:
        return []
    fresh = list(options.init.fill(backend))
    if codes := backend.spec.speech_codes:  # refuses another codec than the one of the weights
        codes.of(backend).speech_codec()
    return fresh


def check_training_type(backend: Backend, inputs: RunInputs) -> None:
    """Refuses a training type, adapters or frozen modules that this network and these weights do not allow.

    Raises:
        ConfigError: names the setting.
    """
    check_trainable(
        backend,
        inputs.config.training,
        new_tokens=inputs.provenance.new_tokens,
        pretrained=_is_pretrained(backend, inputs),
    )


def choose_trained(backend: Backend, inputs: RunInputs, *, fresh: Sequence[str]) -> dict[str, Any]:
    """Adds adapters and freezes what is to stay; returns what a checkpoint needs to merge the adapters.

    Args:
        backend: its network has its weights, except for adapters of a resumed run.
        inputs: settings and provenance.
        fresh: as `fill_weights` returned it.

    Raises:
        AmttsError: the settings leave nothing to train.
    """
    return choose_parameters(
        backend,
        inputs.config.training,
        new_tokens=inputs.provenance.new_tokens,
        fresh=fresh,
        pretrained=_is_pretrained(backend, inputs),
    )


def _is_pretrained(backend: Backend, inputs: RunInputs) -> bool:
    named = backend.spec.fine_tuning.init_weight_settings.items()
    return bool(inputs.provenance.source) or any(inputs.config.model.get(key) != none for key, none in named)


def resume_weights(backend: Backend, previous: Checkpoint) -> None:
    """Loads the tensors of a checkpoint into a network that has its adapters already.

    Raises:
        CheckpointError: a tensor is missing, unexpected or of another shape.
    """
    load_strict(backend.network, previous.stored_weights(), backend=backend.spec.name)
