"""The training view of S3Gen's flow: conditional flow matching, as CosyVoice 2 and Chatterbox have it.

At a random time t the mel lies on the straight way from noise z to the recording x, y = (1 - (1 - s) t) z + t x with
s = 1e-6, and the estimator learns its velocity x - (1 - s) z (Lipman et al. 2023); small times are drawn more often, as
the steps of speaking are taken. Some utterances lose all conditions (what guidance subtracts), some begin with a prompt
of their own mel. Tokenizer, x-vectors and vocoder are frozen. B items, T = 2 N frames.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from amtts_chatterbox.s3.estimator import MELS
from amtts_chatterbox.s3.flow import Conditions, Flow
from amtts_chatterbox.s3.flow_encoder import UPSAMPLING
from amtts_chatterbox.s3.noise import frame_noise
from amtts_chatterbox.s3.tokenizer import valid_frames
from amtts_chatterbox.s3.training_config import S3GenConfig
from amtts_chatterbox.s3.weights import S3Network
from amtts_core.contract.types import Batch, PhaseLoss

PHASE = "main"
SIGMA = 1e-6
"""Of the noise that is left at the end of the way, as published."""


@dataclass(frozen=True)
class Draws:
    """What is drawn for a batch.

    Attributes:
        times: (B,) in 0 to 1.
        noise: (B, T, 80).
        prompts: frames of each item's own mel that are given as its prompt, (B,).
        kept: items that keep their conditions, (B,) bool.
    """

    times: Tensor
    noise: Tensor
    prompts: Tensor
    kept: Tensor


class FlowPass(nn.Module):
    """A batch to the squared error of each frame, in one `forward`, so that it can be wrapped (DDP)."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, batch: Batch, draws: Draws) -> Tensor:
        """(B, T): mean squared error of the velocity over channels; 0 in padding."""
        mels = batch["mels"]
        none = mels.new_zeros(len(mels), 0, dtype=torch.int64)
        conditions = self.flow.conditions(
            batch["codes"], batch["code_lengths"], none, mels[:, :0], batch["speakers"]
        )
        conditions = conditions_of(conditions, mels, draws)
        time = draws.times[:, None, None]
        noisy = (1 - (1 - SIGMA) * time) * draws.noise + time * mels
        error = self.flow.velocity(noisy, draws.times, conditions) - (mels - (1 - SIGMA) * draws.noise)
        valid = valid_frames(UPSAMPLING * batch["code_lengths"], mels.shape[1])
        return error.square().mean(2) * valid


def conditions_of(conditions: Conditions, mels: Tensor, draws: Draws) -> Conditions:
    """The conditions with a prompt of the utterance's own mel, and none at all where they are dropped."""
    prompted = valid_frames(draws.prompts, mels.shape[1])[..., None]
    kept = draws.kept.to(mels)
    return replace(
        conditions,
        mu=conditions.mu * kept[:, None, None],
        speaker=conditions.speaker * kept[:, None],
        prompt=mels * prompted * kept[:, None, None],
    )


class S3GenLearner:
    """Loss = mean squared error of the velocity over frames and channels.

    Args:
        network: its flow is trained in place.
        config: how.
    """

    phases = (PHASE,)

    def __init__(self, network: S3Network, config: S3GenConfig) -> None:
        self._network, self._config = network, config
        self.modules: dict[str, nn.Module] = {"flow": FlowPass(network.flow)}

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """Those of the flow that are not frozen."""
        return [p for p in self._network.flow.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the one loss of a batch."""
        draws = self._drawn(batch) if self._network.training else self._fixed(batch)
        errors: Tensor = self.modules["flow"](batch, draws)
        total = errors.sum() / (UPSAMPLING * batch["code_lengths"].sum())
        yield PhaseLoss(phase=PHASE, total=total, terms={"velocity": total.detach()})

    def _drawn(self, batch: Batch) -> Draws:
        config, mels = self._config, batch["mels"]
        count, frames = len(mels), UPSAMPLING * batch["code_lengths"].cpu()
        times = 1 - torch.cos(torch.rand(count) * 0.5 * math.pi)
        prompts = (torch.rand(count) * (config.longest_prompt * frames + 1)).long()
        prompts = prompts * (torch.rand(count) < config.prompt_share)
        kept = torch.rand(count) >= config.condition_dropout
        moved = [part.to(mels.device) for part in (times, torch.randn(mels.shape), prompts, kept)]
        return Draws(*moved)

    def _fixed(self, batch: Batch) -> Draws:
        """No chance in validation: an item's numbers follow from its codes, whatever batch it is in."""
        mels = batch["mels"]
        frames = UPSAMPLING * batch["code_lengths"]
        seeds = [
            zlib.crc32(row[:length].cpu().numpy().tobytes())
            for row, length in zip(batch["codes"], batch["code_lengths"].tolist(), strict=True)
        ]
        times = torch.tensor([1 - math.cos(seed / 2**32 * 0.5 * math.pi) for seed in seeds])
        noise = torch.stack(
            [frame_noise(seed, "validation", first=0, count=mels.shape[1], width=MELS) for seed in seeds]
        )
        prompts = (self._config.longest_prompt / 2 * frames).long()
        kept = torch.ones_like(frames, dtype=torch.bool)
        return Draws(times.to(mels.device), noise.to(mels.device), prompts, kept)

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Mel of the first recording and of what the flow makes of its codes and x-vector, (80, T) each."""
        length = int(batch["code_lengths"][0])
        mels = batch["mels"][:1, : UPSAMPLING * length]
        codes = batch["codes"][:1, :length]
        conditions = self._network.flow.conditions(
            codes, None, codes[:, :0], mels[:, :0], batch["speakers"][:1]
        )
        noise = frame_noise(0, "mel", first=0, count=mels.shape[1], width=MELS)[None].to(mels.device)
        made = self._network.flow.solve(noise, conditions)
        return {"mel/recorded": mels[0].t(), "mel/made": made[0].t()}
