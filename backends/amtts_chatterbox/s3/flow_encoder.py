"""The flow's encoder: codes at 25 a second to frames at 50 a second that say what is spoken.

A conformer without convolutions (CosyVoice 2, `upsample_conformer_encoder`; ESPnet's relative positions, Dai et al.
2019): a look-ahead of three codes, six layers, twofold upsampling, four layers. B items, N codes, T = 2 N frames, D
channels, H heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.s3.layers import Taps, attend, masked

LAYER_EPS = 1e-12
"""Of the norms inside the layers; the others have 1e-5."""
LOOK_AHEAD = 3
UP_LAYERS = 4
UPSAMPLING = 2


def relative_positions(length: int, width: int) -> Tensor:
    """Sines and cosines in turn of the positions length-1 down to -(length-1), (2 * length - 1, width)."""
    position = torch.arange(length - 1, -length, -1, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
    return torch.stack([torch.sin(position * rate), torch.cos(position * rate)], dim=-1).flatten(1)


class RelativeAttention(nn.Module):
    """Attention whose scores also depend on how far query and key are apart (Transformer-XL).

    score(i, j) = ((q_i + u) k_j + (q_i + v) p_(i-j)) / sqrt(d), with p a projection of the relative position.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.positions = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, width // heads))
        self.position_bias = nn.Parameter(torch.zeros(heads, width // heads))
        self._known: tuple[object, Tensor] | None = None

    def forward(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        """(B, N, D) -> (B, N, D); keys that are not `valid` (B, N) are not seen."""
        items, length, width = hidden.shape
        shape = (items, length, self.heads, width // self.heads)
        query, key, value = (part.view(shape).transpose(1, 2) for part in self.qkv(hidden).chunk(3, dim=-1))
        moved = torch.matmul(query + self.position_bias[:, None], self._projected(length, hidden))
        # Row i of the table of all distances begins at distance i: one step back for each row further down.
        moved = moved.contiguous()
        strides = (*moved.stride()[:2], 2 * length - 2, 1)
        bias = moved.as_strided(
            (items, self.heads, length, length), strides, moved.storage_offset() + length - 1
        )
        bias = bias * (width // self.heads) ** -0.5
        if valid is not None:
            bias = bias.masked_fill(~valid[:, None, None], -torch.inf)
        return self.out(attend(query + self.content_bias[:, None], key, value, bias))

    def _projected(self, length: int, like: Tensor) -> Tensor:
        """Projections of the relative positions, (H, d, 2 * length - 1); outside of training kept for the next call."""
        weight = self.positions.weight
        if torch.is_grad_enabled():
            return self._project(relative_positions(length, weight.shape[1]).to(like))
        version = None if weight.is_inference() else weight._version
        state = (weight.data_ptr(), version, weight.device, weight.dtype)
        if self._known is None or self._known[0] != state or self._known[1].shape[2] < 2 * length - 1:
            longest = -(-length // 128) * 128
            self._known = (state, self._project(relative_positions(longest, weight.shape[1]).to(like)))
        table = self._known[1]
        spare = (table.shape[2] + 1) // 2 - length
        return table[:, :, spare : spare + 2 * length - 1]

    def _project(self, positions: Tensor) -> Tensor:
        rows = self.positions(positions)
        out: Tensor = rows.view(len(rows), self.heads, -1).permute(1, 2, 0)
        return out


class EncoderLayer(nn.Module):
    """Attention and a feed-forward, both behind a norm and added."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=LAYER_EPS)
        self.attention = RelativeAttention(width, heads)
        self.feed_norm = nn.LayerNorm(width, eps=LAYER_EPS)
        self.feed = nn.Sequential(nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, width))

    def forward(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        hidden = hidden + self.attention(self.attention_norm(hidden), valid)
        out: Tensor = hidden + self.feed(self.feed_norm(hidden))
        return out


class Embed(nn.Module):
    """A linear layer and a norm, scaled by the square root of the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        out: Tensor = self.norm(self.linear(hidden)) * math.sqrt(hidden.shape[2])
        return out


class LookAhead(nn.Module):
    """Two convolutions through which a code knows the three that follow it, added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = Taps(width, width, 1 + LOOK_AHEAD, ahead=LOOK_AHEAD)
        self.conv2 = Taps(width, width, 3)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        out: Tensor = hidden + self.conv2(functional.leaky_relu(self.conv1(hidden), 0.01))
        return out


class FlowEncoder(nn.Module):
    """Embedded codes (B, N, D) to (B, 2 N, D).

    Padding is zero wherever a convolution reads it, so an item's result does not depend on its neighbors; the original
    lets the bias of the embedding into the padding, which changes the last codes of shorter items.

    Args:
        width: channels D.
        heads: of attention.
        inner: channels inside the feed-forwards.
        layers: before upsampling; behind it there are always four.
    """

    def __init__(self, *, width: int = 512, heads: int = 8, inner: int = 2048, layers: int = 6) -> None:
        super().__init__()
        self.embed = Embed(width)
        self.look_ahead = LookAhead(width)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, inner) for _ in range(layers))
        self.upsample = Taps(width, width, 5)
        self.up_embed = Embed(width)
        self.up_layers = nn.ModuleList(EncoderLayer(width, heads, inner) for _ in range(UP_LAYERS))
        self.after_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, valid: Tensor | None = None) -> Tensor:
        """`valid` (B, N) is False in padding; None where there is none."""
        hidden = self.look_ahead(masked(self.embed(hidden), valid))
        for layer in self.layers:
            hidden = layer(hidden, valid)
        # An item's last frames may read no padding: it follows them, and convolutions look back only.
        hidden = self.upsample(hidden.repeat_interleave(UPSAMPLING, dim=1))
        valid = None if valid is None else valid.repeat_interleave(UPSAMPLING, dim=1)
        hidden = self.up_embed(hidden)
        for layer in self.up_layers:
            hidden = layer(hidden, valid)
        out: Tensor = self.after_norm(hidden)
        return out
