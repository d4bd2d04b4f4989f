"""Devices that a user names."""

from __future__ import annotations

from amtts_core.errors import AmttsError


def usable_device(device: str) -> str:
    """The device, tried out.

    Raises:
        AmttsError: there is no such device, or torch cannot use it here.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise AmttsError(
            f"device '{device}' cannot be used: {str(error).splitlines()[0]}", remedy="Use --device cpu"
        ) from None
    return device
