"""The training view of mel-codes: one phase, mel L1 and commitment."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from amtts_codecs.mel_codes.config import MelCodesConfig
from amtts_codecs.mel_codes.network import MelCodes
from amtts_core.contract.learner import AllReduce
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.eval_mode import evaluating

PHASE = "main"


class MelCodesLearner:
    """Loss = L1 of the normalized mel + `commitment_weight` x commitment, over real frames only.

    In training every utterance gives one random stretch of `segment` frames; in evaluation all of it counts.
    """

    phases = (PHASE,)

    def __init__(self, network: MelCodes, config: MelCodesConfig) -> None:
        self.modules: dict[str, nn.Module] = {"network": network}
        self._network = network
        self._config = config

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """All parameters; the codebooks move by averages, not by gradient."""
        return [p for p in self._network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the one loss of a batch."""
        mel, frames = batch["mel"], batch["mel_lengths"] // self._config.stride
        if self._network.training:
            mel, frames = self._stretches(mel, frames)
        target = self._network.normalize(mel[:, : int(frames.max()) * self._config.stride])
        rebuilt, quantized = self.modules["network"](target, frames)
        valid = torch.arange(target.shape[1], device=mel.device) < (frames * self._config.stride)[:, None]
        distance = (rebuilt.float() - target).abs()[valid].mean()
        terms = {"mel": distance.detach(), "commitment": quantized.commitment.detach()}
        if self._network.training:
            terms["entries_in_use"] = self._network.quantizer.perplexity()
        total = distance + self._config.commitment_weight * quantized.commitment
        yield PhaseLoss(phase=PHASE, total=total, terms=terms)

    def begin_step(self) -> None:
        """The codebooks gather from nothing."""
        self._network.quantizer.begin_step()

    def end_step(self, all_reduce: AllReduce) -> None:
        """The codebooks move."""
        self._network.quantizer.end_step(all_reduce)

    def _stretches(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mel (B, L, M) and code frames (B,) of one random stretch of each item."""
        wanted = self._config.segment // self._config.stride
        room = (frames - wanted).clamp(min=0)
        starts = (torch.rand(len(frames), device=frames.device) * (room + 1)).long() * self._config.stride
        index = starts[:, None] + torch.arange(self._config.segment, device=mel.device)
        index = index.clamp(max=mel.shape[1] - 1)
        cut = mel.gather(1, index[..., None].expand(-1, -1, mel.shape[2]))
        return cut, frames.clamp(max=wanted)

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Target mel and rebuilt mel of the batch's first utterance, each (M, L), low rows first."""
        frames = batch["mel_lengths"][:1] // self._config.stride
        with evaluating(self._network):
            target = self._network.normalize(batch["mel"][:1, : int(frames[0]) * self._config.stride])
            rebuilt, _ = self._network(target, frames)
        return {"mel/target": target[0].T, "mel/rebuilt": rebuilt[0].float().T}
