"""A hash of weights that does not depend on the file they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def weights_fingerprint(weights: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and float32 (integers: int64) values, in the order of the names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu()
        tensor = tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64).contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
