"""The CTC network: log-mels to log-probabilities of symbols.

Knows tensors only. B utterances, M mel channels, T mel frames, L = ceil(T / stride) output frames, V symbols.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_recognizers.ctc.config import CtcConfig

LEAST_DEVIATION = 0.5
"""Natural-log mel units: a channel that moves less (silence) is not amplified to the size of speech."""


class Block(nn.Module):
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


class CtcNetwork(nn.Module):
    """Mel frames to symbols.

    Args:
        config: sizes.
        num_tokens: V, the tokenizer's vocabulary; its padding id is the blank.
    """

    prior: Tensor

    def __init__(self, config: CtcConfig, *, num_tokens: int) -> None:
        super().__init__()
        self.stride = config.stride
        self.down = nn.Conv1d(
            config.mel.n_mels, config.hidden, 2 * config.stride + 1, config.stride, config.stride
        )
        self.blocks = nn.ModuleList(
            Block(config.hidden, kernel=kernel, expansion=config.expansion, dropout=config.dropout)
            for kernel in config.kernels
        )
        self.norm = nn.LayerNorm(config.hidden)
        self.head = nn.Linear(config.hidden, num_tokens)
        self.register_buffer("prior", torch.full((num_tokens,), 1.0 / num_tokens))

    def num_frames(self, mel_frames: Tensor) -> Tensor:
        """Output frames of so many mel frames."""
        return torch.div(mel_frames + self.stride - 1, self.stride, rounding_mode="floor")

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Natural-log mel (B, T, M) and its lengths (B,) -> log-probabilities (B, L, V)."""
        hidden = self.down(normalized(mel, lengths).transpose(1, 2)).transpose(1, 2)
        mask = frame_mask(self.num_frames(lengths), hidden.shape[1])
        hidden = functional.silu(hidden) * mask
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.head(self.norm(hidden)).float().log_softmax(-1)


def frame_mask(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, longest, 1) float, 1 inside."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()[..., None]


def normalized(mel: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, M) with mean 0 and deviation 1 per utterance and channel over its real frames; zero in the padding."""
    mask = frame_mask(lengths, mel.shape[1])
    count = mask.sum(1, keepdim=True)
    centered = (mel - (mel * mask).sum(1, keepdim=True) / count) * mask
    deviation = (centered.square().sum(1, keepdim=True) / count).sqrt()
    return centered / deviation.clamp(min=LEAST_DEVIATION)
