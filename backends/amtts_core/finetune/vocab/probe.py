"""What the old model made of old text, before and after: through its network where amtts has it.

A backend registers a probe in the entry-point group `amtts.text_probes` under its family's name. Core knows no
network; without a probe the comparison stays with the tables and says so.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from amtts_core.contract.backend import Backend
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.plan import NEW, RowPlan

GROUP = "amtts.text_probes"
TOLERANCE = 1e-4
"""Largest difference, as a share of the largest value, that counts as rounding of another matrix shape."""
LOGITS = "text_logits"


class TextProbe(Protocol):
    """Runs a network on text ids alone; every other input is fixed by the probe."""

    def __call__(
        self, weights: Mapping[str, Tensor], config: Mapping[str, Any], sequences: Sequence[Sequence[int]]
    ) -> dict[str, Tensor]:
        """Outputs by name, the same for the same text; `text_logits` has the vocabulary on its last axis.

        Args:
            weights: published names, loaded strictly at their own sizes.
            config: the file beside the weights, empty where there is none.
            sequences: text ids without start and stop; cut to what the network can take.

        Raises:
            CheckpointError: a tensor is missing, unexpected or of another size.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class OldText:
    """How the resized model differs from the old one on old text.

    Attributes:
        through: "network" or "tables".
        why: what kept the comparison from the network, empty where nothing did.
        sequences: how many texts were compared.
        max_abs_diff: largest difference of any output.
    """

    through: str
    why: str
    sequences: int
    max_abs_diff: float


def find_probe(family: str) -> tuple[TextProbe | None, str]:
    """The registered probe of a family, or why there is none."""
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == family:
            try:
                return point.load(), ""
            except ImportError as fault:
                return None, f"{point.value} cannot be imported ({fault})"
    return None, f"no probe is installed for '{family}'"


def compare_tables(
    old: Mapping[str, Tensor], new: Mapping[str, Tensor], plan: RowPlan, names: Sequence[str]
) -> float:
    """Largest difference between carried rows; 0 where all are bit-identical.

    Raises:
        CheckpointError: a carried row differs; this is a bug, and nothing is written.
    """
    sources = torch.tensor(plan.sources)
    carried = sources != NEW
    for name in names:
        before, after = old[name][sources[carried]], new[name][: plan.new_size][carried]
        if not torch.equal(before, after) or not torch.equal(
            old[name][plan.old_size :], new[name][plan.new_size :]
        ):
            raise CheckpointError(
                f"tensor '{name}': a row of the old vocabulary changed; nothing was written"
            )
    return 0.0


def compare_network(
    probe: TextProbe,
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    configs: tuple[Mapping[str, Any], Mapping[str, Any]],
    plan: RowPlan,
    sequences: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> float:
    """Largest difference of any output on old text.

    Args:
        probe: runs the network.
        old: tensors before.
        new: tensors after.
        configs: the config before and after.
        plan: rows of old and new vocabulary.
        sequences: ids of each text in the old and in the new vocabulary.

    Raises:
        CheckpointError: it is more than rounding.
    """
    before = probe(old, configs[0], [ids for ids, _ in sequences])
    after = probe(new, configs[1], [ids for _, ids in sequences])
    columns = [(number, origin) for number, origin in enumerate(plan.sources) if origin != NEW]
    worst = 0.0
    for name, value in before.items():
        other = after[name]
        if name == LOGITS:
            other = other[..., [number for number, _ in columns]]
            value = value[..., [origin for _, origin in columns]]
        worst = max(worst, _difference(name, value, other))
    return worst


def compare_backends(
    old: Backend, new: Backend, plan: RowPlan, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> float:
    """Largest difference of what two voices of amtts make of old text: text logits where they have some, else speech.

    Args:
        old: before, in evaluation mode.
        new: after.
        plan: rows of old and new vocabulary.
        sequences: ids of each text in the old and in the new vocabulary, none empty.

    Raises:
        CheckpointError: it is more than rounding.
    """
    columns = [(number, origin) for number, origin in enumerate(plan.sources) if origin != NEW]
    worst = 0.0
    with torch.inference_mode():
        for before, after in sequences:
            if old.spec.text_scoring is not None:
                scoring = old.spec.text_scoring
                value = scoring.of(old).text_logits(before)[0][..., [origin for _, origin in columns]]
                other = scoring.of(new).text_logits(after)[0][..., [number for number, _ in columns]]
                worst = max(worst, _difference(LOGITS, value, other))
                continue
            spoken = [
                torch.from_numpy(kind.synthesize([SynthesisRequest(tokens=list(ids), seed=1)])[0])
                for kind, ids in ((old, before), (new, after))
            ]
            if spoken[0].shape != spoken[1].shape:
                raise CheckpointError(
                    f"the resized model treats old text otherwise: {len(spoken[0])} samples of speech before, "
                    f"{len(spoken[1])} after; nothing was written"
                )
            worst = max(worst, _difference("speech", *spoken))
    return worst


def _difference(name: str, value: Tensor, other: Tensor) -> float:
    difference = float((value - other).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(value.abs().max())):
        raise CheckpointError(
            f"the resized model treats old text otherwise: {name} differs by {difference:.3g}; nothing was written"
        )
    return difference
