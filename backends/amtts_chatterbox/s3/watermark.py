"""PerTh, the inaudible mark that the original puts into all it says; optional here, where its package is installed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from amtts_core.errors import AmttsError
from amtts_core.units import Hertz


def marked(waveform: Tensor, rate: Hertz) -> Tensor:
    """A waveform (T,) with the mark of `resemble-perth`.

    Raises:
        AmttsError: the package is not installed.
    """
    found: Any = _marker().apply_watermark(waveform.cpu().numpy(), sample_rate=rate)
    return torch.as_tensor(found, dtype=torch.float32)


@lru_cache(maxsize=1)
def _marker() -> Any:
    try:
        import perth
    except ImportError:
        raise AmttsError(
            "model.s3gen.watermark is true, and the package resemble-perth is not installed",
            remedy="Install it: pip install resemble-perth; or leave the setting at false",
        ) from None
    marker = perth.PerthImplicitWatermarker
    if marker is None:  # the package leaves it so where one of its own needs is missing
        raise AmttsError(
            "resemble-perth is installed but cannot mark: one of its own packages is missing",
            remedy="Try: python -c 'from perth.perth_net.perth_net_implicit import perth_watermarker'",
        )
    return marker()
