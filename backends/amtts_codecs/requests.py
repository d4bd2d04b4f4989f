"""What a speech codec accepts as a request to speak: codes, frame after frame."""

from __future__ import annotations

import torch
from torch import Tensor

from amtts_core.contract.types import SynthesisRequest
from amtts_core.errors import AmttsError


def codes_of(request: SynthesisRequest, num_codebooks: int) -> Tensor:
    """The request's tokens, `num_codebooks` codes a frame, as (1, K, L) int64.

    Raises:
        AmttsError: it names a speaker or a speed, or its tokens are no whole frames.
    """
    if request.speaker:
        raise AmttsError(f"unknown speaker '{request.speaker}'; codes carry their own voice")
    if request.speed != 1.0:
        raise AmttsError(f"speed {request.speed:g}: a codec speaks codes at their own pace")
    if not request.tokens or len(request.tokens) % num_codebooks:
        raise AmttsError(f"{len(request.tokens)} codes are no whole frames of {num_codebooks}")
    return torch.tensor(list(request.tokens)).reshape(1, -1, num_codebooks).transpose(1, 2)
