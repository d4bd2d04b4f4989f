"""Changes of log-mel spectrograms in training: other tempo, other vocal tract, vocoder blur, noise, hidden parts.

Every function is a pure function of its arguments and torch's random numbers. B utterances, T frames, M channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from amtts_recognizers.ctc.config import AugmentConfig

LONGEST_PADDING = 60
"""Frames of noise before or after an utterance."""


def augmented(mel: Tensor, lengths: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Changed mels (B, T', M) and their lengths (B,)."""
    mel, lengths = warped(mel, lengths, tempo=config.tempo, pitch=config.pitch_warp)
    if config.blur:
        mel = blurred(mel, share=config.blur)
    if config.padding:
        mel, lengths = padded_with_noise(mel, lengths, share=config.padding)
    if config.noise:
        mel = noisy(mel, share=config.noise)
    mel = masked(mel, lengths, count=config.time_masks, widest=config.time_mask_frames, axis=1)
    mel = masked(mel, lengths, count=config.mel_masks, widest=config.mel_mask_channels, axis=2)
    return mel, lengths


def warped(mel: Tensor, lengths: Tensor, *, tempo: float, pitch: float) -> tuple[Tensor, Tensor]:
    """Stretches time and the mel axis by factors of up to 1 +- `tempo` and 1 +- `pitch`, drawn per utterance."""
    batch, frames, channels = mel.shape
    stretch = 1 + tempo * (2 * torch.rand(batch) - 1)
    new_lengths = (lengths.cpu() * stretch).round().long().clamp(min=1)
    longest = int(new_lengths.max())
    scale = 1 + pitch * (2 * torch.rand(batch) - 1)
    # Positions in grid_sample's coordinates with align_corners: -1 is the first sample, 1 the last.
    time = torch.arange(longest)[None] / stretch[:, None]
    time = 2 * time.clamp(max=frames - 1) / max(1, frames - 1) - 1
    channel = (torch.arange(channels)[None] * scale[:, None]).clamp(max=channels - 1)
    channel = 2 * channel / (channels - 1) - 1
    grid = torch.stack(
        [channel[:, None, :].expand(-1, longest, -1), time[:, :, None].expand(-1, -1, channels)], dim=-1
    ).to(mel)
    moved = functional.grid_sample(
        mel[:, None], grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return moved[:, 0], new_lengths.to(lengths)


def blurred(mel: Tensor, *, share: float) -> Tensor:
    """Smooths a share of the utterances over three frames and channels and roughens them, as vocoders do."""
    chosen = (torch.rand(len(mel), 1, 1) < share).to(mel)
    amount = 0.5 * torch.rand(len(mel), 1, 1).to(mel) * chosen
    smooth = functional.avg_pool2d(mel[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    rough = 0.4 * torch.rand(len(mel), 1, 1).to(mel) * chosen
    return mel + amount * (smooth - mel) + rough * torch.randn_like(mel)


def padded_with_noise(mel: Tensor, lengths: Tensor, *, share: float) -> tuple[Tensor, Tensor]:
    """Puts noise of up to `LONGEST_PADDING` frames before and after a share of the utterances."""
    batch, _, channels = mel.shape
    chosen = (torch.rand(batch) < share).long()
    before, after = ((torch.rand(batch) * LONGEST_PADDING).long() * chosen for _ in range(2))
    spoken = lengths.cpu()
    total = before + spoken + after
    level = _noise_level(mel, lengths)
    out = level + 0.6 * torch.randn(batch, int(total.max()), channels).to(mel)
    for row in range(batch):
        first, length = int(before[row]), int(spoken[row])
        out[row, first : first + length] = mel[row, :length]
    return out, total.to(lengths)


def _noise_level(mel: Tensor, lengths: Tensor) -> Tensor:
    """(B, 1, M) level of a noise: between the quietest frame and 30 dB under the mean, with a random slope."""
    mean = torch.stack([row[: int(n)].mean() for row, n in zip(mel, lengths, strict=True)])
    low = mel.amin((1, 2))
    draw = torch.rand(len(mel)).to(mel)
    level = low + draw * (mean - 1.0 - low).clamp(min=0)
    slope = (torch.rand(len(mel), 1).to(mel) - 0.5) * torch.linspace(-1, 1, mel.shape[2]).to(mel)
    return level[:, None, None] + 2.0 * slope[:, None, :]


def noisy(mel: Tensor, *, share: float) -> Tensor:
    """Adds stationary noise in the linear domain to a share of the utterances, 5 to 35 dB under their mean."""
    batch, frames, channels = mel.shape
    chosen = torch.rand(batch, 1, 1) < share
    below = (5 + 30 * torch.rand(batch, 1, 1)) / 8.686  # dB of magnitude in natural-log units
    slope = 2.0 * (torch.rand(batch, 1, 1) - 0.5) * torch.linspace(-1, 1, channels)
    loud = mel.amax((1, 2), keepdim=True) - 2.0
    level = loud - below.to(mel) + slope.to(mel) + 0.5 * torch.randn(batch, frames, channels).to(mel)
    return torch.where(chosen.to(mel.device), torch.logaddexp(mel, level), mel)


def masked(mel: Tensor, lengths: Tensor, *, count: int, widest: int, axis: int) -> Tensor:
    """Sets up to `count` stretches of an axis (1 time, 2 channels) to the utterance's mean (Park et al. 2019)."""
    if not count:
        return mel
    size = mel.shape[axis]
    room = lengths.cpu() if axis == 1 else torch.full((len(mel),), size)
    hidden = torch.zeros(len(mel), size, dtype=torch.bool)
    place = torch.arange(size)
    for _ in range(count):
        width = (torch.rand(len(mel)) * (widest + 1)).long()
        start = (torch.rand(len(mel)) * (room - width).clamp(min=1)).long()
        hidden |= (place >= start[:, None]) & (place < (start + width)[:, None])
    hidden = hidden[:, :, None] if axis == 1 else hidden[:, None, :]
    return torch.where(hidden.to(mel.device), mel.mean((1, 2), keepdim=True), mel)
