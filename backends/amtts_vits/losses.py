"""The generator's own losses; the adversarial ones are the discriminators' (`discriminator.py`). All float32."""

from __future__ import annotations

import torch
from torch import Tensor

from amtts_core.audio.mel import MelConfig
from amtts_core.nn.discriminators import DiscriminatorOutput, adversarial_loss, feature_loss
from amtts_vits.config import LossSettings
from amtts_vits.generator import Passed
from amtts_vits.spectrogram import log_mel


def mel_loss(passed: Passed, mel: MelConfig) -> Tensor:
    """Mean absolute difference of natural-log mels where the segment lies within the recording; ()."""
    made = log_mel(passed.fake[:, 0], mel)
    segment_mask = passed.segment_mask
    return ((passed.real_mel - made).abs() * segment_mask).sum() / (segment_mask.sum() * made.shape[1])


def kl_loss(passed: Passed) -> Tensor:
    """Divergence of the posterior's sample from the prior, summed over channels, a mean over frames; ().

    Kim et al. 2021, equation 3, with the posterior's entropy in closed form.
    """
    mean, log_std = passed.mean_p.float(), passed.log_std_p.float()
    away = 0.5 * (passed.z_p.float() - mean).square() * torch.exp(-2 * log_std)
    per_frame = log_std - passed.log_std_q.float() - 0.5 + away
    return (per_frame * passed.mask).sum() / passed.mask.sum()


def generator_losses(
    passed: Passed,
    mel: MelConfig,
    weights: LossSettings,
    *,
    real: DiscriminatorOutput | None,
    fake: DiscriminatorOutput | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The total, (), and its terms before weighting.

    Args:
        passed: the training pass.
        mel: of the spectrograms.
        weights: of the terms.
        real, fake: scores and feature maps; None leaves both adversarial terms out.
    """
    terms = {
        "mel": mel_loss(passed, mel),
        "kl": kl_loss(passed),
        "duration": passed.duration_loss.float().sum(),
    }
    if real is not None and fake is not None:
        terms["adversarial"] = adversarial_loss(fake)
        terms["feature"] = feature_loss(real, fake)
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, terms
