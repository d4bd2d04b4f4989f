"""The autoencoder: mel frames to a slower code stream and back.

The design is the discrete VAE over log-mels of Tortoise (Betker 2023) with a vector quantiser in the middle. Norms
look at one frame only, and masked frames are zero before every convolution, so an utterance has the same codes alone
and in any batch. B items, L mel frames (a multiple of the stride S), F = L / S code frames, M mel channels, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_codecs.mel_codes.config import MelCodesConfig
from amtts_codecs.mel_codes.quantizer import Quantized, ResidualQuantizer


class Block(nn.Module):
    """Norm, convolution, pointwise convolution, residual."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Conv1d(channels, channels, kernel, padding=kernel // 2)
        self.point = nn.Conv1d(channels, channels, 1)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, H, L), mask (B, 1, L) -> (B, H, L), zero where masked."""
        normed = self.norm(hidden.transpose(1, 2)).transpose(1, 2)
        mixed = self.mix(functional.gelu(normed) * mask)
        return (hidden + self.point(functional.gelu(mixed))) * mask


class Stack(nn.ModuleList):
    """Blocks one after another."""

    def __init__(self, channels: int, count: int, kernel: int) -> None:
        super().__init__(Block(channels, kernel) for _ in range(count))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, H, L), mask (B, 1, L) -> (B, H, L)."""
        for block in self:
            hidden = block(hidden, mask)
        return hidden


class MelCodes(nn.Module):
    """Encoder, quantiser, decoder, and the corpus' mel statistics."""

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, config: MelCodesConfig) -> None:
        super().__init__()
        channels, hidden, stride = config.mel.n_mels, config.hidden, config.stride
        self.stride = stride
        kernel, padding = (2 * stride, (stride + 1) // 2) if stride > 1 else (3, 1)
        self.enter = nn.Conv1d(channels, hidden, 5, padding=2)
        self.encode_mel = Stack(hidden, config.encoder_layers, 3)
        self.down = nn.Conv1d(hidden, hidden, kernel, stride, padding=padding)
        self.encode_code = Stack(hidden, config.encoder_layers, 3)
        self.to_code = nn.Conv1d(hidden, config.code_dim, 1)
        self.quantizer = ResidualQuantizer(
            config.num_codebooks,
            config.cardinality,
            config.code_dim,
            decay=config.codebook_decay,
            restart_below=config.restart_below,
        )
        self.from_code = nn.Conv1d(config.code_dim, hidden, 3, padding=1)
        self.decode_code = Stack(hidden, config.encoder_layers, 3)
        spare = 2 * padding - stride if stride > 1 else 0
        self.up = nn.ConvTranspose1d(hidden, hidden, kernel, stride, padding=padding, output_padding=spare)
        self.decode_mel = Stack(hidden, config.decoder_layers, 5)
        self.leave = nn.Conv1d(hidden, channels, 3, padding=1)
        fine = -(-(2 * config.decoder_layers + 1) // stride)
        self.decoder_context = config.encoder_layers + fine + 3
        """Code frames on either side that a mel frame of `decode` depends on, at most."""
        self.register_buffer("mel_mean", torch.zeros(channels))
        self.register_buffer("mel_std", torch.ones(channels))

    def normalize(self, mel: Tensor) -> Tensor:
        """Natural-log mel (B, L, M) -> zero mean and unit deviation per channel."""
        return (mel - self.mel_mean) / self.mel_std

    def denormalize(self, mel: Tensor) -> Tensor:
        """Inverse of `normalize`."""
        return mel * self.mel_std + self.mel_mean

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Quantized]:
        """Normalised mel (B, L, M), code frames (B,) -> the mel rebuilt (B, L, M), and the quantised valid frames."""
        hidden, mask = self.encode(mel, frames), _mask(frames, mel.shape[1] // self.stride)
        valid = mask[:, 0].bool()
        quantized = self.quantizer(hidden[valid])
        values = torch.zeros_like(hidden, dtype=quantized.values.dtype)
        values[valid] = quantized.values
        return self.decode(values, frames), quantized

    def encode(self, mel: Tensor, frames: Tensor) -> Tensor:
        """Normalised mel (B, L, M), code frames (B,) -> values to be quantised (B, F, D)."""
        fine = _mask(frames * self.stride, mel.shape[1])
        coarse = _mask(frames, mel.shape[1] // self.stride)
        hidden = self.enter(mel.transpose(1, 2) * fine) * fine
        hidden = self.down(self.encode_mel(hidden, fine)) * coarse
        return self.to_code(self.encode_code(hidden, coarse)).transpose(1, 2)

    def decode(self, values: Tensor, frames: Tensor) -> Tensor:
        """Quantised values (B, F, D), code frames (B,) -> normalized mel (B, L, M), zero where masked."""
        coarse = _mask(frames, values.shape[1])
        fine = _mask(frames * self.stride, values.shape[1] * self.stride)
        hidden = self.from_code(values.transpose(1, 2) * coarse) * coarse
        hidden = self.up(self.decode_code(hidden, coarse)) * fine
        return (self.leave(self.decode_mel(hidden, fine)) * fine).transpose(1, 2)


def _mask(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, 1, longest) float."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()[:, None]
