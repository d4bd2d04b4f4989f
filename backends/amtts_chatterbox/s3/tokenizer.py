"""The S3 tokenizer: log-mels to 25 codes a second, each one of 3^8 = 6561 (finite scalar quantization).

S3TokenizerV2 of CosyVoice 2 (Du et al. 2024, arXiv 2412.10117): a Whisper-like encoder whose attention has a memory, a
depthwise convolution over the values (FSMN, Zhang et al. 2018). Its digits are quantized as in Mentzer et al. 2023.
B items, L log-mel frames, N codes, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.front_ends import S3_MEL

CODES = 6561
DIGITS = 8
LEVEL_SCALE = 0.9990000128746033
"""Keeps a digit from rounding to 2."""
HEAD = 64
MEMORY_TAPS = 31
ROTARY_BASE = 10000.0
FRAMES_PER_CODE = 4
WINDOW, STEP = 3000, 2600
"""Frames of a window of a recording longer than 30 s, and from one to the next: 4 s are seen twice."""
CUT = (WINDOW - STEP) // FRAMES_PER_CODE // 2
"""Codes that a window loses at an edge where another one goes on."""


def halved(lengths: Tensor) -> Tensor:
    """Frames behind a convolution of stride 2 with 3 taps and 1 frame of padding on both sides."""
    return (lengths - 1) // 2 + 1


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """(B,) -> (B, frames) bool, True within each item's length."""
    return torch.arange(frames, device=lengths.device)[None] < lengths[:, None]


class MemoryAttention(nn.Module):
    """Rotary self-attention plus the FSMN memory over its values. The keys have no bias: that third of it is 0.

    Args:
        width: channels D, a multiple of 64.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.memory = nn.Conv1d(width, width, MEMORY_TAPS, padding=MEMORY_TAPS // 2, groups=width, bias=False)

    def forward(self, hidden: Tensor, turn: tuple[Tensor, Tensor], valid: Tensor | None) -> Tensor:
        """(B, N, D) -> (B, N, D); `turn` holds cosines and sines (N, 64), `valid` (B, N) or None for all."""
        items, length, width = hidden.shape
        query, key, value = self.qkv(hidden).chunk(3, dim=-1)
        if valid is not None:
            value = value * valid[..., None]
        memory = self._remembered(value) + value
        heads = (items, length, width // HEAD, HEAD)
        mixed = functional.scaled_dot_product_attention(
            _rotated(query.view(heads), turn).transpose(1, 2),
            _rotated(key.view(heads), turn).transpose(1, 2),
            value.view(heads).transpose(1, 2),
            attn_mask=None if valid is None else valid[:, None, None],
        )
        if valid is not None:
            memory = memory * valid[..., None]
        return self.out(mixed.transpose(1, 2).reshape(items, length, width)) + memory

    def _remembered(self, value: Tensor) -> Tensor:
        """The depthwise convolution over (B, N, D), with channels last: on a CPU a tenth of the time."""
        weight = self.memory.weight[:, :, None].float().contiguous(memory_format=torch.channels_last)
        image = value.float().transpose(1, 2)[:, :, None].contiguous(memory_format=torch.channels_last)
        out = functional.conv2d(image, weight, padding=(0, MEMORY_TAPS // 2), groups=len(weight))
        return out[:, :, 0].transpose(1, 2).to(value.dtype)


def _rotated(vectors: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """(B, N, H, 64) with the first half of the channels turned against the second."""
    cosine, sine = (part[None, :, None] for part in turn)
    first, second = vectors.chunk(2, dim=-1)
    return vectors * cosine + torch.cat([-second, first], dim=-1) * sine


class Block(nn.Module):
    """Attention with memory, then a feed-forward of four times the width; both behind a norm and added."""

    def __init__(self, width: int, norm_eps: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=norm_eps)
        self.attention = MemoryAttention(width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor, turn: tuple[Tensor, Tensor], valid: Tensor | None) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        hidden = hidden + self.attention(self.attention_norm(hidden), turn, valid)
        out: Tensor = hidden + self.feed(self.feed_norm(hidden))
        return out


class S3Tokenizer(nn.Module):
    """Log-mels (B, 128, L) to hidden states (B, N, D) and codes; N = ceil(L / 4).

    Args:
        width: channels D.
        layers: blocks.
        norm_eps: of the norm before attention: 1e-5 as in s3tokenizer 0.3, 1e-6 in 0.2 and before.
    """

    def __init__(self, *, width: int = 1280, layers: int = 6, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(S3_MEL.n_mels, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block(width, norm_eps) for _ in range(layers))
        self.project_down = nn.Linear(width, DIGITS)

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Hidden states (B, N, D) and how many of each item are true (B,); an item's do not depend on its neighbors."""
        lengths = torch.full((len(mel),), mel.shape[2], device=mel.device) if lengths is None else lengths
        padded = bool((lengths < mel.shape[2]).any())
        dtype = self.conv1.weight.dtype
        hidden = mel.to(dtype)
        for layer in (self.conv1, self.conv2):
            if padded:
                hidden = hidden * valid_frames(lengths, hidden.shape[2])[:, None]
            hidden, lengths = functional.gelu(layer(hidden)), halved(lengths)
        hidden = hidden.transpose(1, 2)
        valid = valid_frames(lengths, hidden.shape[1]) if padded else None
        turn = _rotations(hidden.shape[1], hidden)
        for block in self.blocks:
            hidden = block(hidden, turn, valid)
        return hidden, lengths

    def digits(self, hidden: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, 8) in (-1, 1), before rounding; always in float32."""
        down = functional.linear(
            hidden.float(), self.project_down.weight.float(), self.project_down.bias.float()
        )
        return torch.tanh(down) * LEVEL_SCALE

    def codes(self, hidden: Tensor) -> Tensor:
        """(B, N, D) -> (B, N) int64: digits rounded to 0, 1 or 2, the first counting least."""
        powers = 3 ** torch.arange(DIGITS, device=hidden.device)
        return ((self.digits(hidden).round().long() + 1) * powers).sum(-1)


def _rotations(length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (N, 64) of the rotary positions (Su et al. 2021), in the type of `like`."""
    steps = torch.arange(0, HEAD, 2, device=like.device, dtype=torch.float32) / HEAD
    angles = torch.outer(torch.arange(length, device=like.device), ROTARY_BASE**-steps).repeat(1, 2)
    return angles.cos().to(like), angles.sin().to(like)


def window_starts(frames: int) -> list[int]:
    """First frames of the windows of a recording; the last window is the one that reaches its end.

    The original goes on while a window would start inside the recording, and loses up to 2 s where its last window is
    shorter than the overlap.
    """
    count = 1 if frames <= WINDOW else 1 + -(-(frames - WINDOW) // STEP)
    return [STEP * number for number in range(count)]


@torch.inference_mode()
def tokenize(tokenizer: S3Tokenizer, mels: Sequence[Tensor], *, together: int = 8) -> list[Tensor]:
    """Codes (N,) int64 of log-mels (128, L) of any length; those of an item are what they are alone.

    A recording of more than 30 s is read through windows of 30 s that share 4 s; 2 s at each inner edge are dropped.

    Args:
        tokenizer: the network.
        mels: one each.
        together: windows that are computed as one batch.
    """
    windows = [
        (item, start, mel[:, start : start + WINDOW])
        for item, mel in enumerate(mels)
        for start in window_starts(mel.shape[1])
    ]
    parts: list[list[Tensor]] = [[] for _ in mels]
    for first in range(0, len(windows), together):
        batch = windows[first : first + together]
        lengths = torch.tensor([part.shape[1] for *_, part in batch], device=mels[0].device)
        padded = nn.utils.rnn.pad_sequence([part.t() for *_, part in batch], batch_first=True)
        hidden, counts = tokenizer(padded.transpose(1, 2), lengths)
        codes = tokenizer.codes(hidden)
        for (item, start, _), row, count in zip(batch, codes, counts.tolist(), strict=True):
            goes_on = start + WINDOW < mels[item].shape[1]
            parts[item].append(row[CUT if start else 0 : count - CUT if goes_on else count])
    return [torch.cat(rows) for rows in parts]
