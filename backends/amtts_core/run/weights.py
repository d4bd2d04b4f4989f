"""The weights a run begins with: of the checkpoint it resumes, of another model, or random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amtts_core.checkpoints.checkpoint import Checkpoint, load_strict
from amtts_core.contract.backend import Backend
from amtts_core.contract.types import TrainingExamples
from amtts_core.finetune.trainable import choose_parameters
from amtts_core.run.inputs import RunInputs
from amtts_core.run.options import RunOptions


@dataclass(frozen=True)
class BeginningWeights:
    """What a checkpoint has to know of the weights that its run began with.

    Attributes:
        fresh: parameters missing from the initial weights; randomly initialized, always trainable.
        lora: what is needed to merge the adapters; empty without adapters.
    """

    fresh: list[str]
    lora: dict[str, Any]


def load_weights(
    backend: Backend,
    inputs: RunInputs,
    options: RunOptions,
    previous: Checkpoint | None,
    examples: TrainingExamples,
) -> BeginningWeights:
    """Puts the initial weights into a freshly built backend, adds adapters, and freezes what is to stay.

    Args:
        backend: freshly built; its network is changed in place.
        inputs: settings and provenance.
        options: initial weights.
        previous: checkpoint to resume; None for a new run.
        examples: the training set, for what a new network takes from it.

    Raises:
        AmttsError: the weights do not fit, or the settings leave nothing to train.
    """
    init, spec, training = options.init, backend.spec, inputs.config.training
    fresh: list[str] = []
    if previous is not None:
        fresh = list(previous.info.began_fresh)
    elif init is not None:
        fresh = list(init.fill(backend))
        if (
            codes := spec.speech_codes
        ):  # refuses another codec than the one whose codes the weights were trained on
            codes.of(backend).speech_codec()
    if previous is None and not (init is not None and init.statistics):
        backend.initialize(examples)
    named_settings = spec.fine_tuning.init_weight_settings.items()
    named = any(inputs.config.model.get(key) != none for key, none in named_settings)
    lora = choose_parameters(
        backend,
        training,
        new_tokens=inputs.provenance.new_tokens,
        fresh=fresh,
        pretrained=named or bool(inputs.provenance.source),
    )
    return BeginningWeights(fresh, lora)


def resume_weights(backend: Backend, previous: Checkpoint) -> None:
    """Loads the tensors of a checkpoint into a network that has its adapters already.

    Raises:
        CheckpointError: a tensor is missing, unexpected or of another shape.
    """
    load_strict(backend.network, previous.stored_weights(), backend=backend.spec.name)
