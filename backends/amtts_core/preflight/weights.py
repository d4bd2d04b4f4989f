"""Checks of loading."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.errors import CheckpointError
from amtts_core.preflight.subject import CheckFailed, Finding, Subject, require


def round_trip(subject: Subject) -> Finding:
    """Weights load into a fresh network."""
    rebuild = subject.needs_rebuild()
    weights = {name: tensor.clone() for name, tensor in subject.backend.network.state_dict().items()}
    again = rebuild().network
    load_strict(again, weights, backend=subject.backend.spec.name)
    loaded = again.state_dict()
    require(set(loaded) == set(weights), "a fresh network has other tensors")
    for name, tensor in loaded.items():
        require(torch.equal(tensor, weights[name]), f"tensor '{name}' changed between two networks")
    return Finding(f"{len(weights)} tensors come back identical", float(len(weights)))


def refusals(subject: Subject) -> Finding:
    """Weights that lack a tensor, have one too many or one of another size are refused by name."""
    backend = subject.backend
    weights = dict(backend.network.state_dict())
    name = next((n for n, tensor in weights.items() if tensor.ndim == 2), next(iter(weights)))
    cut = weights[name][:-1]
    missing = {n: tensor for n, tensor in weights.items() if n != name}
    for harmed, said in (
        (missing, [name]),
        (weights | {"left.over": torch.zeros(1)}, ["left.over"]),
        (weights | {name: cut}, [name, str(len(cut)), str(len(cut) + 1)]),
    ):
        _refuses(subject, harmed, said)
    return Finding("what does not fit is refused by name")


def _refuses(subject: Subject, weights: dict[str, Tensor], said: list[str]) -> None:
    kept = copy.deepcopy(subject.backend.network.state_dict())
    try:
        load_strict(subject.backend.network, weights, backend=subject.backend.spec.name)
    except CheckpointError as error:
        absent = [word for word in said if word not in str(error)]
        require(not absent, f"the error about '{said[0]}' does not say {', '.join(absent)}: {error}")
        return
    finally:
        subject.backend.network.load_state_dict(kept)
    raise CheckFailed(f"weights with '{said[0]}' that does not fit were loaded")
