"""The flow's estimator: the velocity of a noisy mel on its way to speech.

CosyVoice 2's causal conditional decoder (after Matcha-TTS, Mehta et al. 2024), a U-Net in name only: nothing is
down-sampled. Convolutions look two frames back, attention looks everywhere. B items, T frames, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.s3.layers import Taps, attend, masked

MELS = 80
INPUTS = 4 * MELS
"""The noisy mel, what is spoken, who speaks, the prompt's mel."""
TAPS = 3


def time_waves(times: Tensor, channels: int) -> Tensor:
    """(B,) in 0 to 1 -> (B, channels): sines, then cosines of 1000 t at falling rates (Ho et al. 2020)."""
    half = channels // 2
    rates = torch.exp(torch.arange(half, device=times.device).float() * -(math.log(10000.0) / (half - 1)))
    angles = 1000 * times[:, None] * rates.to(times)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class CausalBlock(nn.Module):
    """A causal convolution of three frames, norm over channels, Mish."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Taps(inputs, outputs, TAPS)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, T, C')."""
        return masked(functional.mish(self.norm(self.conv(masked(hidden, valid)))), valid)


class Resnet(nn.Module):
    """Two causal blocks with the time in between, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.block1 = CausalBlock(inputs, outputs)
        self.time = nn.Linear(time, outputs)
        self.block2 = CausalBlock(outputs, outputs)
        self.shortcut = Taps(inputs, outputs, 1)

    def forward(self, hidden: Tensor, time: Tensor, valid: Tensor | None) -> Tensor:
        """(B, T, C) and the time (B, D) behind its Mish -> (B, T, C')."""
        inner = self.block1(hidden, valid) + self.time(time)[:, None]
        out: Tensor = self.block2(inner, valid) + self.shortcut(masked(hidden, valid))
        return out


class Attention(nn.Module):
    """Self-attention over all frames; only the way out has a bias."""

    def __init__(self, channels: int, heads: int, head_size: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * heads * head_size, bias=False)
        self.out = nn.Linear(heads * head_size, channels)

    def forward(self, hidden: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        items, frames, _ = hidden.shape
        parts = self.qkv(hidden).view(items, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        out: Tensor = self.out(attend(parts[0], parts[1], parts[2], bias))
        return out


class TransformerBlock(nn.Module):
    """Attention and a feed-forward, both behind a norm and added."""

    def __init__(self, channels: int, heads: int, head_size: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads, head_size)
        self.feed_norm = nn.LayerNorm(channels)
        self.feed = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, hidden: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        hidden = hidden + self.attention(self.attention_norm(hidden), bias)
        out: Tensor = hidden + self.feed(self.feed_norm(hidden))
        return out


class Stage(nn.Module):
    """A resnet, transformer blocks, and where `closing` a causal convolution."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        time: int,
        blocks: int,
        heads: int,
        head_size: int,
        *,
        closing: bool = False,
    ) -> None:
        super().__init__()
        self.resnet = Resnet(inputs, channels, time)
        self.transformers = nn.ModuleList(TransformerBlock(channels, heads, head_size) for _ in range(blocks))
        self.closing = Taps(channels, channels, TAPS) if closing else None

    def forward(self, hidden: Tensor, time: Tensor, valid: Tensor | None, bias: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, T, C'), before the closing convolution."""
        hidden = self.resnet(hidden, time, valid)
        for block in self.transformers:
            hidden = block(hidden, bias)
        return hidden

    def close(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        """The closing convolution."""
        assert self.closing is not None
        out: Tensor = self.closing(masked(hidden, valid))
        return out


class Estimator(nn.Module):
    """Velocity (B, T, 80) of a noisy mel.

    Args:
        channels: of the hidden states C.
        heads, head_size: of attention.
        blocks: transformer blocks of a stage.
        middle: stages between the first and the last.
        mean_flow: a second time, up to which the mean velocity is asked for (Geng et al. 2025), is an input as well.
    """

    def __init__(
        self,
        *,
        channels: int = 256,
        heads: int = 8,
        head_size: int = 64,
        blocks: int = 4,
        middle: int = 12,
        mean_flow: bool = False,
    ) -> None:
        super().__init__()
        time = 4 * channels
        sizes = (time, blocks, heads, head_size)
        self.time_mlp = nn.ModuleDict(
            {"linear_1": nn.Linear(INPUTS, time), "linear_2": nn.Linear(time, time)}
        )
        self.time_embed_mixer = nn.Linear(2 * time, time, bias=False) if mean_flow else None
        self.down = Stage(INPUTS, channels, *sizes, closing=True)
        self.mid = nn.ModuleList(Stage(channels, channels, *sizes) for _ in range(middle))
        self.up = Stage(2 * channels, channels, *sizes, closing=True)
        self.final_block = CausalBlock(channels, channels)
        self.final_proj = Taps(channels, MELS, 1)

    def embed_time(self, times: Tensor, until: Tensor | None = None) -> Tensor:
        """(B,) each -> (B, D): of the time, and with mean flow of the time up to which where one is given."""

        def embedded(at: Tensor) -> Tensor:
            hidden = self.time_mlp["linear_1"](time_waves(at, INPUTS))
            out: Tensor = self.time_mlp["linear_2"](functional.silu(hidden))
            return out

        if self.time_embed_mixer is None or until is None:
            return embedded(times)
        out: Tensor = self.time_embed_mixer(torch.cat([embedded(times), embedded(until)], dim=1))
        return out

    def forward(self, inputs: Tensor, time: Tensor, valid: Tensor | None = None) -> Tensor:
        """Inputs (B, T, 320) and the embedded time (B, D) -> (B, T, 80).

        Args:
            inputs: noisy mel, what is spoken, speaker and prompt beside each other.
            time: of `embed_time`.
            valid: (B, T) bool, False in padding, whose velocity is 0; None where there is none.
        """
        dtype = self.final_proj.weight.dtype
        inputs, time = inputs.to(dtype), functional.mish(time).to(dtype)
        bias = None if valid is None else (~valid)[:, None, None].to(dtype) * -1e10
        skip = self.down(inputs, time, valid, bias)
        hidden = self.down.close(skip, valid)
        for stage in self.mid:
            hidden = stage(hidden, time, valid, bias)
        hidden = self.up(torch.cat([hidden, skip], dim=2), time, valid, bias)
        hidden = self.final_block(self.up.close(hidden, valid), valid)
        return masked(self.final_proj(masked(hidden, valid)), valid)
