"""The training view of chatterbox-mel: one phase, three non-negative terms."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from amtts_chatterbox.mel.config import ChatterboxMelConfig
from amtts_chatterbox.mel.network import ChatterboxMel
from amtts_core.contract.types import Batch, PhaseLoss

PHASE = "main"


class ChatterboxMelLearner:
    """Loss = mel L1 + `prior_weight` x prior + `duration_weight` x duration; each is a mean of absolute values or
    squares over real positions, so none can be negative and padding counts nowhere.
    """

    phases = (PHASE,)

    def __init__(self, network: ChatterboxMel, config: ChatterboxMelConfig) -> None:
        self.modules: dict[str, nn.Module] = {"network": network}
        self._network = network
        self._config = config

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """All parameters; there is one phase."""
        return [p for p in self._network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the one loss of a batch."""
        target = self._network.normalize(batch["mel"])
        encoded, durations, prior, predicted = self.modules["network"](
            batch["tokens"], batch["token_lengths"], target, batch["mel_lengths"], batch.get("speakers")
        )
        frame_mask = _mask(batch["mel_lengths"], target.shape[1])
        values = frame_mask.sum() * target.shape[2]
        mel = ((predicted.float() - target).abs() * frame_mask).sum() / values
        pull = ((prior.float() - target).square() * frame_mask).sum() / values
        symbol_mask = encoded.mask[..., 0]
        wanted = durations.clamp(min=1).float().log()
        duration = ((encoded.log_duration.float() - wanted).square() * symbol_mask).sum() / symbol_mask.sum()
        total = mel + self._config.prior_weight * pull + self._config.duration_weight * duration
        terms = {"mel": mel, "prior": pull, "duration": duration}
        yield PhaseLoss(phase=PHASE, total=total, terms={k: v.detach() for k, v in terms.items()})

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Target mel, predicted mel and alignment of the batch's first utterance, each (H, W), low rows first."""
        symbols, frames = int(batch["token_lengths"][0]), int(batch["mel_lengths"][0])
        target = self._network.normalize(batch["mel"][:1, :frames])
        speakers = batch.get("speakers")
        _, durations, _, predicted = self._network(
            batch["tokens"][:1, :symbols],
            batch["token_lengths"][:1],
            target,
            batch["mel_lengths"][:1],
            None if speakers is None else speakers[:1],
        )
        path = torch.zeros(symbols, frames)
        owner = torch.repeat_interleave(torch.arange(symbols), durations[0].cpu())
        path[owner, torch.arange(frames)] = 1.0
        return {"mel/target": target[0].T, "mel/predicted": predicted[0].T, "alignment": path}


def _mask(lengths: Tensor, longest: int) -> Tensor:
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()[..., None]
