"""The backend whose published weights a name stands for, and the number of text tokens in such weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from amtts_core.contract.published import PublishedFormat
from amtts_core.contract.registry import backend_names, get_backend, list_backends
from amtts_core.errors import AmttsError, CheckpointError, nearest

if TYPE_CHECKING:
    from torch import Tensor


def get_published(name: str) -> PublishedFormat:
    """The published format of a backend.

    Args:
        name: of the backend, or one of the format's aliases.

    Raises:
        AmttsError: no installed backend of that name reads published weights with a vocabulary; names those that do.
    """
    if name in backend_names():
        found = get_backend(name).spec.published
        if found is not None and found.is_extendable:
            return found
    specs = [entry.spec for entry in list_backends() if entry.spec is not None]
    formats = {spec.name: spec.published for spec in specs if spec.published and spec.published.is_extendable}
    for known in formats.values():
        if name in known.aliases:
            return known
    raise AmttsError(
        f"backend '{name}' has no vocabulary that can be extended{nearest(name, formats)}",
        remedy=f"Choose one of: {', '.join(formats)}",
    )


def num_text_tokens(weights: Mapping[str, Tensor], published: PublishedFormat) -> int:
    """Number of text tokens in published weights, without additional rows that belong to no token.

    Raises:
        CheckpointError: a declared tensor is missing, sizes differ, or an undeclared text tensor has as many rows.
    """
    sizes = {}
    for declared in published.text_tensors:
        if declared.tensor not in weights:
            known = ", ".join(sorted(weights)[:3])
            raise CheckpointError(
                f"these weights are not of backend '{published.name}': they lack the tensor '{declared.tensor}' "
                f"(they hold {len(weights)} tensors, such as {known})"
            )
        sizes[declared.tensor] = weights[declared.tensor].shape[0] - declared.num_extra_rows
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"'{name}' {size}" for name, size in sizes.items())
        raise CheckpointError(f"these weights were resized only in part: text tokens of {shown}")
    _check_undeclared(weights, published)
    return next(iter(sizes.values()))


def _check_undeclared(weights: Mapping[str, Tensor], published: PublishedFormat) -> None:
    if not published.text_names:
        return
    declared = {text.tensor for text in published.text_tensors}
    sizes = {weights[name].shape[0] for name in declared}
    for name, tensor in weights.items():
        if name in declared or not tensor.shape or tensor.shape[0] not in sizes:
            continue
        if re.search(published.text_names, name):
            raise CheckpointError(
                f"tensor '{name}' also has {tensor.shape[0]} text rows; this amtts does not know it"
            )
