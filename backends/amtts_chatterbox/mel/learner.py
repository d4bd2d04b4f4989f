"""The training view of chatterbox-mel: one phase, non-negative terms."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from amtts_chatterbox.mel.config import ChatterboxMelConfig
from amtts_chatterbox.mel.network import ChatterboxMel, FlowDraws, TrainingPass, Voice
from amtts_chatterbox.mel.pitch import normalized_pitch
from amtts_core.contract.types import Batch, PhaseLoss

PHASE = "main"


class ChatterboxMelLearner:
    """Loss = mel L1 + `prior_weight` x prior + `duration_weight` x duration (see `deviance`).

    With a pitch, also `pitch.weight` x (pitch L1 where it is voiced + cross-entropy of the voicing); with a flow,
    `flow.weight` x squared error of its velocity. Each is a mean over real positions, so none can be
    negative and padding counts nowhere.
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
        made: TrainingPass = self.modules["network"](
            batch["tokens"],
            batch["token_lengths"],
            target,
            batch["mel_lengths"],
            batch.get("speakers"),
            voice_of(batch),
            self._draws(target),
        )
        frame_mask = _mask(batch["mel_lengths"], target.shape[1])
        values = frame_mask.sum() * target.shape[2]
        terms = {
            "mel": ((made.mel.float() - target).abs() * frame_mask).sum() / values,
            "prior": ((made.prior.float() - target).square() * frame_mask).sum() / values,
        }
        symbol_mask = made.encoded.mask[..., 0]
        off = deviance(made.durations.clamp(min=1).float(), made.encoded.log_duration.float())
        terms["duration"] = (off * symbol_mask).sum() / symbol_mask.sum()
        config = self._config
        weights = {"mel": 1.0, "prior": config.prior_weight, "duration": config.duration_weight}
        if made.pitch is not None and made.voicing is not None:
            terms |= _voice_terms(
                made.pitch.float(), made.voicing.float(), voice_of(batch), frame_mask[..., 0]
            )
            weights |= {"pitch": config.pitch.weight, "voicing": config.pitch.weight}
        if made.flow is not None:
            terms["flow"] = made.flow
            weights["flow"] = config.flow.weight
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        yield PhaseLoss(phase=PHASE, total=total, terms={k: v.detach() for k, v in terms.items()})

    def _draws(self, target: Tensor) -> FlowDraws | None:
        """Random draws of the flow for a batch (B, L, M); None where there is no flow."""
        if not self._config.flow.layers:
            return None
        items, frames, channels = target.shape
        size = min(frames, self._config.flow.segment)
        noise = torch.randn(items, size, channels, device=target.device)
        chance = torch.rand(2, items, device=target.device)
        return FlowDraws(noise, chance[0], chance[1])

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Target mel, predicted mel and alignment of the batch's first utterance, each (H, W), low rows first."""
        symbols, frames = int(batch["token_lengths"][0]), int(batch["mel_lengths"][0])
        target = self._network.normalize(batch["mel"][:1, :frames])
        speakers = batch.get("speakers")
        made: TrainingPass = self._network(
            batch["tokens"][:1, :symbols],
            batch["token_lengths"][:1],
            target,
            batch["mel_lengths"][:1],
            None if speakers is None else speakers[:1],
            voice_of({k: batch[k][:1, :frames] for k in ("pitch", "voicing") if k in batch}),
        )
        path = torch.zeros(symbols, frames)
        owner = torch.repeat_interleave(torch.arange(symbols), made.durations[0].cpu())
        path[owner, torch.arange(frames)] = 1.0
        return {"mel/target": target[0].T, "mel/predicted": made.mel[0].T, "alignment": path}


def voice_of(batch: Batch) -> Voice | None:
    """Pitch and voicing of a batch's recordings; None where its features have none."""
    if "pitch" not in batch:
        return None
    return Voice(normalized_pitch(batch["pitch"]), batch["voicing"])


def deviance(durations: Tensor, log_predicted: Tensor) -> Tensor:
    """Unit deviance of a gamma distribution (McCullagh and Nelder 1989), at least 0, for frames and predicted logs.

    It is smallest at the mean of the durations. Squared errors of logs are smallest at their geometric mean, with which
    a person, whose durations vary, is spoken a fifth too fast; near the truth both agree.
    """
    apart = durations.log() - log_predicted.clamp(-10, 10)
    return 2 * (apart.exp() - 1 - apart)


def _voice_terms(pitch: Tensor, voicing: Tensor, truth: Voice | None, mask: Tensor) -> dict[str, Tensor]:
    """Errors of predicted pitch and voicing (B, L), the pitch weighted by how surely a frame is voiced."""
    assert truth is not None
    sure = truth.voicing.square() * mask
    hit = binary_cross_entropy_with_logits(voicing, truth.voicing, reduction="none")
    return {
        "pitch": ((pitch - truth.pitch).abs() * sure).sum() / sure.sum().clamp(min=1.0),
        "voicing": (hit * mask).sum() / mask.sum(),
    }


def _mask(lengths: Tensor, longest: int) -> Tensor:
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()[..., None]
