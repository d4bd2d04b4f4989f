"""The network: symbols to hidden states, hidden states to durations, both to a mel spectrogram.

Knows tensors only: no text, no audio files, no losses. B items, N symbols, L frames, H hidden, M mel channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.mel.config import ChatterboxMelConfig
from amtts_core.nn.monotonic_alignment_search import monotonic_durations


class ConvBlock(nn.Module):
    """Pre-norm depthwise convolution and a pointwise bottleneck, residual (as in ConvNeXt, Liu et al. 2022)."""

    def __init__(self, channels: int, *, kernel: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.widen = nn.Linear(channels, channels * expansion)
        self.narrow = nn.Linear(channels * expansion, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, L, H), mask (B, L, 1) -> (B, L, H), zero where masked."""
        mixed = self.depthwise((self.norm(hidden) * mask).transpose(1, 2)).transpose(1, 2)
        return (hidden + self.narrow(self.dropout(functional.silu(self.widen(mixed))))) * mask


class ConvStack(nn.Module):
    """Blocks of one width."""

    def __init__(self, channels: int, *, layers: int, kernel: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvBlock(channels, kernel=kernel, expansion=expansion, dropout=dropout) for _ in range(layers)
        )

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, L, H), mask (B, L, 1) -> (B, L, H)."""
        for block in self.blocks:
            hidden = block(hidden, mask)
        return hidden


def sinusoids(length: int, channels: int, device: torch.device) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017), (length, channels)."""
    rate = torch.exp(torch.arange(0, channels, 2, device=device) * (-math.log(10000.0) / channels))
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def length_mask(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, longest, 1) float, 1 inside."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()[..., None]


@dataclass(frozen=True)
class Encoded:
    """Text after the encoder: `hidden` (B, N, H), `mean` (B, N, M), `log_duration` (B, N), `mask` (B, N, 1)."""

    hidden: Tensor
    mean: Tensor
    log_duration: Tensor
    mask: Tensor


class ChatterboxMel(nn.Module):
    """Text symbols to normalised log-mels.

    Args:
        config: sizes.
        num_tokens: rows of the text embedding.
        num_speakers: rows of the speaker table; 0 builds none.
    """

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, config: ChatterboxMelConfig, *, num_tokens: int, num_speakers: int = 0) -> None:
        super().__init__()
        hidden, channels = config.hidden, config.mel.n_mels
        shared: dict[str, Any] = {"expansion": config.expansion, "dropout": config.dropout}
        self.text_embedding = nn.Embedding(num_tokens, hidden)
        self.speaker_embedding = nn.Embedding(num_speakers, hidden) if num_speakers else None
        self.position_scale = nn.Parameter(torch.tensor(0.1))
        self.encoder = ConvStack(
            hidden,
            layers=config.encoder_layers,
            kernel=config.encoder_kernel,
            **shared,
        )
        self.mean = nn.Linear(hidden, channels)
        self.duration = ConvStack(
            hidden,
            layers=config.duration_layers,
            kernel=config.duration_kernel,
            **shared,
        )
        self.log_duration = nn.Linear(hidden, 1)
        self.expand = nn.Linear(hidden, hidden)
        self.place = nn.Linear(2, hidden)
        self.decoder = ConvStack(
            hidden,
            layers=config.decoder_layers,
            kernel=config.decoder_kernel,
            **shared,
        )
        self.refine = nn.Linear(hidden, channels)
        self.register_buffer("mel_mean", torch.zeros(channels))
        self.register_buffer("mel_std", torch.ones(channels))

    def encode(self, tokens: Tensor, lengths: Tensor, speakers: Tensor | None = None) -> Encoded:
        """tokens (B, N) int64, lengths (B,), speakers (B,) int64 or None."""
        mask = length_mask(lengths, tokens.shape[1])
        hidden = self.text_embedding(tokens)
        hidden = hidden + self.position_scale * sinusoids(tokens.shape[1], hidden.shape[2], tokens.device)
        if self.speaker_embedding is not None and speakers is not None:
            hidden = hidden + self.speaker_embedding(speakers)[:, None]
        hidden = self.encoder(hidden * mask, mask)
        # Durations are learnt on top of the text, without bending it: no gradient flows back into the encoder.
        log_duration = self.log_duration(self.duration(hidden.detach(), mask))[..., 0]
        return Encoded(hidden, self.mean(hidden), log_duration, mask)

    def decode(self, encoded: Encoded, durations: Tensor) -> tuple[Tensor, Tensor]:
        """Stretches each symbol over its frames and refines.

        Args:
            encoded: from `encode`.
            durations: (B, N) int64 frames per symbol.

        Returns:
            the stretched means (B, L, M) and the mel (B, L, M), both normalised, zero beyond each item's frames.
        """
        owner, place, mask = regulate(durations)
        rows = torch.arange(len(owner), device=owner.device)[:, None]
        prior = encoded.mean[rows, owner] * mask
        hidden = (self.expand(encoded.hidden)[rows, owner] + self.place(place)) * mask
        hidden = self.decoder(hidden, mask)
        return prior, (prior + self.refine(hidden)) * mask

    def forward(
        self, tokens: Tensor, lengths: Tensor, mel: Tensor, frames: Tensor, speakers: Tensor | None = None
    ) -> tuple[Encoded, Tensor, Tensor, Tensor]:
        """The training pass: aligns, then decodes with the found durations.

        Args:
            tokens, lengths, speakers: as in `encode`.
            mel: (B, L, M) normalised target.
            frames: (B,) frames of each item.

        Returns:
            encoded text, durations (B, N), stretched means (B, L, M), mel (B, L, M).
        """
        encoded = self.encode(tokens, lengths, speakers)
        with torch.no_grad():
            score = -torch.cdist(encoded.mean.float(), mel.float()).square()
            found = monotonic_durations(score.cpu().numpy(), lengths.cpu().numpy(), frames.cpu().numpy())
            durations = torch.from_numpy(found).to(tokens.device)
        prior, predicted = self.decode(encoded, durations)
        return encoded, durations, prior, predicted

    def normalize(self, mel: Tensor) -> Tensor:
        """Natural-log mel (..., M) -> zero mean, unit deviation per channel."""
        return (mel - self.mel_mean) / self.mel_std

    def denormalize(self, mel: Tensor) -> Tensor:
        """Inverse of `normalize`."""
        return mel * self.mel_std + self.mel_mean


def regulate(durations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The length regulator as indices.

    Args:
        durations: (B, N) int64.

    Returns:
        owner (B, L) symbol of each frame; place (B, L, 2): frames since the symbol began over 10, and the share of
        the symbol that has passed; mask (B, L, 1).
    """
    ends = durations.cumsum(1)
    total = ends[:, -1]
    frame = torch.arange(int(total.max()), device=durations.device).expand(len(durations), -1).contiguous()
    owner = torch.searchsorted(ends, frame, right=True).clamp(max=durations.shape[1] - 1)
    since = (frame - (ends - durations).gather(1, owner)).float()
    share = since / durations.gather(1, owner).clamp(min=1)
    mask = (frame < total[:, None]).float()[..., None]
    return owner, torch.stack([since / 10, share], dim=-1) * mask, mask


def at_pace(mel: Tensor, speed: float) -> Tensor:
    """A mel (L, M) at another speed: frames between its frames, about L / speed of them.

    Decoding shorter durations instead makes speech quieter, as no training text was spoken so fast.
    """
    if speed == 1:
        return mel
    frames = max(1, round(len(mel) / speed))
    return functional.interpolate(mel.T[None], size=frames, mode="linear", align_corners=False)[0].T


def whole_durations(log_duration: Tensor, mask: Tensor) -> Tensor:
    """Predicted log durations (B, N) -> whole frames (B, N), at least 1 per symbol.

    Rounds the running total rather than each symbol, so that the utterance keeps its length.
    """
    wanted = log_duration.exp().clamp(min=1.0, max=200.0) * mask[..., 0]
    ends = wanted.cumsum(1).round()
    whole = ends - functional.pad(ends[:, :-1], (1, 0))  # torch.diff has no ONNX operation
    return (whole.clamp(min=1) * mask[..., 0]).long()
