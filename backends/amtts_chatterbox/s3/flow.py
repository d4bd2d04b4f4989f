"""S3Gen's flow: codes and a reference voice to a mel, by solving an ordinary differential equation.

Conditional flow matching (Lipman et al. 2023) with classifier-free guidance (Ho and Salimans 2022), as CosyVoice 2 and
Chatterbox have it; `mean_flow` weights (Geng et al. 2025) need one or two steps and no guidance. The prompt's codes
and mel stand before what is spoken, and every step pays for both.
B items, P prompt codes, F prompt frames (2 P), N codes, T = 2 (P + N) frames.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.s3.config import GUIDANCE
from amtts_chatterbox.s3.estimator import MELS, Estimator
from amtts_chatterbox.s3.flow_encoder import LOOK_AHEAD, UPSAMPLING, FlowEncoder
from amtts_chatterbox.s3.speaker_encoder import VECTOR
from amtts_chatterbox.s3.tokenizer import CODES, valid_frames

STEPS, MEAN_FLOW_STEPS = 10, 2
"""As published."""


@dataclass(frozen=True)
class Conditions:
    """Inputs of the estimator besides the noisy mel.

    Attributes:
        mu: what is spoken, (B, T, 80).
        speaker: (B, 80).
        prompt: the prompt's mel, zero behind its F frames, (B, T, 80).
        valid: (B, T) bool, or None where no item is padded.
        encoded: the encoder's output, (B, T, D).
    """

    mu: Tensor
    speaker: Tensor
    prompt: Tensor
    valid: Tensor | None
    encoded: Tensor

    def beside(self, noisy: Tensor) -> Tensor:
        """Inputs of the estimator (B, T, 320)."""
        speaker = self.speaker[:, None].expand(-1, noisy.shape[1], -1)
        return torch.cat([noisy, self.mu, speaker, self.prompt], dim=2)


def schedule(steps: int, *, cosine: bool = True) -> list[float]:
    """Times 0 to 1 of `steps` steps: 1 - cos(pi t / 2) takes small steps first; evenly spaced with mean flow."""
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float32)
    return (1 - torch.cos(times * 0.5 * math.pi) if cosine else times).tolist()


class Flow(nn.Module):
    """Codes to mels.

    Args:
        encoder: of the codes.
        estimator: of the velocity.
        width: channels of the encoder.
    """

    def __init__(self, encoder: FlowEncoder, estimator: Estimator, *, width: int = 512) -> None:
        super().__init__()
        self.input_embedding = nn.Embedding(CODES, width)
        self.spk_embed_affine_layer = nn.Linear(VECTOR, MELS)
        self.encoder = encoder
        self.encoder_proj = nn.Linear(width, MELS)
        self.estimator = estimator
        self._low: tuple[torch.dtype, Estimator] | None = None

    @property
    def mean_flow(self) -> bool:
        """Whether the weights are those of the mean flow."""
        return self.estimator.time_embed_mixer is not None

    @property
    def dtype(self) -> torch.dtype:
        """What the estimator's layers run in outside of training."""
        return torch.float32 if self._low is None else self._low[0]

    def compute_in(self, dtype: torch.dtype) -> None:
        """From now on the estimator's layers run in `dtype` outside of training; the mel and the time stay float32."""
        if dtype == torch.float32:
            self._low = None
            return
        low = copy.deepcopy(self.estimator).to(dtype).eval()
        low.time_mlp.float()
        if low.time_embed_mixer is not None:
            low.time_embed_mixer.float()
        # a tuple, so that the copy is no part of the state
        self._low = (dtype, low.requires_grad_(False))

    def _apply(self, *args: object, **options: object) -> Flow:
        if self._low is not None:
            self._low[1]._apply(*args, **options)
        return super()._apply(*args, **options)

    def conditions(
        self,
        codes: Tensor,
        lengths: Tensor | None,
        prompt_codes: Tensor,
        prompt_mel: Tensor,
        speaker: Tensor,
        *,
        more_follows: bool = False,
    ) -> Conditions:
        """Inputs of the estimator for codes (B, N) behind a prompt.

        Args:
            codes: int64; padded behind each item's length.
            lengths: (B,); None where all are N long.
            prompt_codes: (B or 1, P) int64.
            prompt_mel: (B or 1, F, 80).
            speaker: x-vectors (B or 1, 192).
            more_follows: the last three codes are only looked at, and have no frames.
        """
        items, ahead = len(codes), prompt_codes.shape[1]
        whole = torch.cat([prompt_codes.expand(items, -1), codes], dim=1)
        valid = None
        if lengths is not None and bool((lengths < codes.shape[1]).any()):
            valid = valid_frames(lengths + ahead, whole.shape[1])
        hidden = self.input_embedding(whole)
        if valid is not None:
            hidden = hidden * valid[..., None]
        encoded = self.encoder(hidden, valid)
        if valid is not None:
            valid = valid.repeat_interleave(UPSAMPLING, dim=1)
        if more_follows:
            dropped = UPSAMPLING * LOOK_AHEAD
            encoded = encoded[:, :-dropped]
            valid = None if valid is None else valid[:, dropped:]  # each item is that many frames shorter
        mu = self.encoder_proj(encoded)
        given = min(prompt_mel.shape[1], mu.shape[1])
        prompt = torch.zeros_like(mu)
        prompt[:, :given] = prompt_mel[:, :given]
        affine = self.spk_embed_affine_layer(functional.normalize(speaker, dim=1)).expand(items, -1)
        return Conditions(mu, affine, prompt, valid, encoded)

    def velocity(self, noisy: Tensor, time: Tensor, conditions: Conditions) -> Tensor:
        """dx/dt (B, T, 80) at a time (B,), without guidance; differentiable."""
        out: Tensor = self.estimator(
            conditions.beside(noisy), self.estimator.embed_time(time), conditions.valid
        )
        return out

    @torch.no_grad()
    def solve(
        self,
        noise: Tensor,
        conditions: Conditions,
        *,
        steps: int = 0,
        guidance: float = GUIDANCE,
        mean_flow: bool | None = None,
    ) -> Tensor:
        """The mel (B, T, 80) that Euler steps lead noise (B, T, 80) to; padding keeps its noise.

        Args:
            noise: where the way begins.
            conditions: from `conditions()`.
            steps: 0 takes those of the weights, 10, or 2 with mean flow.
            guidance: w of (1 + w) v - w v0, v0 being the velocity without conditions; 0 computes no v0.
            mean_flow: step by mean velocities; None does where the weights are of that kind.
        """
        estimator = self.estimator if self._low is None else self._low[1]
        mean_flow = self.mean_flow if mean_flow is None else mean_flow
        times = schedule(steps or (MEAN_FLOW_STEPS if mean_flow else STEPS), cosine=not mean_flow)
        guided = guidance > 0 and not mean_flow
        items, noisy = len(noise), noise
        fixed = conditions.beside(noise)[..., MELS:]
        valid = conditions.valid
        if guided:
            fixed = torch.cat([fixed, torch.zeros_like(fixed)])
            valid = None if valid is None else torch.cat([valid, valid])
        for now, then in zip(times[:-1], times[1:], strict=True):
            at = torch.tensor([now, then], device=noise.device)
            time = estimator.embed_time(at[:1], at[1:] if mean_flow else None).expand(len(fixed), -1)
            rows = torch.cat([noisy, noisy]) if guided else noisy
            velocity = estimator(torch.cat([rows, fixed], dim=2), time, valid).float()
            if guided:
                velocity = (1 + guidance) * velocity[:items] - guidance * velocity[items:]
            noisy = noisy + (then - now) * velocity
        return noisy
