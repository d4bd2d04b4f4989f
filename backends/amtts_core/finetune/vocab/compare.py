"""Compares a network before and after its vocabulary was extended: its tensors, and its outputs for existing text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amtts_core.contract.backend import Backend
from amtts_core.contract.published import TextProbe
from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import CheckpointError
from amtts_core.finetune.vocab.plan import NEW, TokenPlan

TOLERANCE = 1e-4
"""Largest difference, as a fraction of the largest value, that counts as rounding of another matrix shape."""
LOGITS = "text_logits"
Sequences = Sequence[tuple[Sequence[int], Sequence[int]]]
"""Ids of each text in the old and in the new vocabulary."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Result of a comparison.

    Attributes:
        through: "network", or "tables" where only the text tensors were compared.
        why: reason why the network was not used, empty where it was.
        sequences: number of texts that were compared.
        max_abs_diff: largest difference of any output.
    """

    through: str
    why: str
    sequences: int
    max_abs_diff: float


def check_tables(
    old: Mapping[str, Tensor], new: Mapping[str, Tensor], plan: TokenPlan, names: Sequence[str]
) -> None:
    """Requires that embeddings of old tokens are bit-identical in all text tensors.

    Raises:
        CheckpointError: one differs.
    """
    old_ids = torch.tensor(plan.sources)
    kept = old_ids != NEW
    for name in names:
        before, after = old[name][old_ids[kept]], new[name][: plan.new_size][kept]
        if not torch.equal(before, after) or not torch.equal(
            old[name][plan.old_size :], new[name][plan.new_size :]
        ):
            raise CheckpointError(
                f"tensor '{name}': a row of the old vocabulary changed; nothing was written"
            )


def compare_network(
    probe: TextProbe,
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    configs: tuple[Mapping[str, Any], Mapping[str, Any]],
    plan: TokenPlan,
    sequences: Sequences,
) -> float:
    """Largest difference of any output for existing text.

    Args:
        probe: runs the network.
        old: tensors before.
        new: tensors after.
        configs: the config before and after.
        plan: old and new ids.
        sequences: existing texts.

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


def compare_backends(old: Backend, new: Backend, plan: TokenPlan, sequences: Sequences) -> float:
    """Largest difference of two backends for existing text: of their text logits where they have some, else of speech.

    Args:
        old: before, in evaluation mode.
        new: after.
        plan: old and new ids.
        sequences: existing texts, none empty.

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
                    f"outputs for existing text changed: {len(spoken[0])} samples of speech before, "
                    f"{len(spoken[1])} after; nothing was written"
                )
            worst = max(worst, _difference("speech", *spoken))
    return worst


def _difference(name: str, value: Tensor, other: Tensor) -> float:
    difference = float((value - other).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(value.abs().max())):
        raise CheckpointError(
            f"outputs for existing text changed: {name} differs by {difference:.3g}; nothing was written"
        )
    return difference
