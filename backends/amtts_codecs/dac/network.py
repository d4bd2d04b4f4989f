"""DAC in training: `transformers.DacModel` with weight norm, its quantizer with the published losses, discriminators.

Two things of `transformers` are left aside: its quantizer averages the commitment loss over the batch before it
masks dropped codebooks (the original masks each item), and its initialization. The original draws small weights,
but behind weight norm that has no effect: what it trains from are torch's own defaults, codebooks of unit variance
and biases of zero. So here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from transformers import DacConfig, DacModel

from amtts_codecs.dac.config import SAMPLE_RATE, DacSettings
from amtts_codecs.dac.discriminators import DacDiscriminator
from amtts_codecs.dac.usage import CodebookUse


@dataclass
class Passed:
    """What one pass through the codec gives. B items, S samples, K codebooks, L frames.

    Attributes:
        audio: (B, 1, S'), S' up to 8 samples shorter than S.
        codes: (B, K, L) int64.
        commitment: () mean squared distance of the encoder's values to their entries.
        codebook: () the same number, whose gradient moves the entries.
    """

    audio: Tensor
    codes: Tensor
    commitment: Tensor
    codebook: Tensor


class DacNetwork(nn.Module):
    """What a checkpoint holds: `codec`, a weight-normalized `DacModel`, its `usage`, and `discriminators` or none."""

    def __init__(self, settings: DacSettings) -> None:
        super().__init__()
        self.codec = DacModel(dac_config(settings))
        _initialise(self.codec)
        for module in self.codec.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                weight_norm(module)
        self.usage = CodebookUse(
            settings.num_codebooks,
            settings.cardinality,
            settings.code_dim,
            restart_below=settings.restart_below,
        )
        self.discriminator = DacDiscriminator(settings.discriminator) if settings.adversarial else None


class CodecPass(nn.Module):
    """The codec's forward in training; a module of its own so that it can be wrapped for several processes."""

    def __init__(self, codec: DacModel, usage: CodebookUse) -> None:
        super().__init__()
        self.codec = codec
        self.usage = usage

    def forward(self, waveform: Tensor, kept: Tensor) -> Passed:
        """(B, 1, S) and the codebooks (B,) each item is learnt with -> `Passed`."""
        hidden = self.codec.encoder(waveform)
        values, codes, commitment, codebook = quantize(
            self.codec, hidden, kept, usage=self.usage if self.training else None
        )
        return Passed(self.codec.decoder(values), codes, commitment, codebook)


def quantize(
    codec: DacModel, hidden: Tensor, kept: Tensor, *, usage: CodebookUse | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Residual quantisation with the losses of the original (`dac/nn/quantize.py`), item by item.

    Args:
        codec: whose quantizer is used.
        hidden: (B, C, L) of the encoder.
        kept: (B,) codebooks of each item; later ones leave its sum and its losses alone.
        usage: watches which entries are chosen.

    Returns:
        Values (B, C, L) with the straight-through gradient, codes (B, K, L), commitment (), codebook loss ().
    """
    residual, total = hidden, torch.zeros_like(hidden)
    commitment = codebook = hidden.new_zeros(())
    codes = []
    quantizers: Any = codec.quantizer.quantizers
    for number, quantizer in enumerate(quantizers):
        latents = quantizer.in_proj(residual)
        entries, chosen = quantizer.decode_latents(latents)
        if usage is not None:
            usage.watch(number, latents, chosen)
        active = (number < kept).to(hidden.dtype)
        commitment = commitment + ((latents - entries.detach()).square().mean((1, 2)) * active).mean()
        codebook = codebook + ((entries - latents.detach()).square().mean((1, 2)) * active).mean()
        value = quantizer.out_proj(latents + (entries - latents).detach())
        total = total + value * active[:, None, None]
        residual = residual - value
        codes.append(chosen)
    return total, torch.stack(codes, dim=1), commitment, codebook


def dac_config(settings: DacSettings) -> DacConfig:
    """Sizes in the terms of `transformers`."""
    return DacConfig(
        encoder_hidden_size=settings.encoder_channels,
        downsampling_ratios=list(settings.strides),
        decoder_hidden_size=settings.decoder_channels,
        n_codebooks=settings.num_codebooks,
        codebook_size=settings.cardinality,
        codebook_dim=settings.code_dim,
        quantizer_dropout=settings.quantizer_dropout,
        sampling_rate=SAMPLE_RATE,
    )


def _initialise(codec: DacModel) -> None:
    for module in codec.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            module.reset_parameters()
            if isinstance(module, nn.Conv1d) and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)


def plain_codec(network: DacNetwork) -> DacModel:
    """A copy of the codec with its weight norm folded, in evaluation mode, for encoding and decoding."""
    weights = folded(network.codec.state_dict())
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        plain = DacModel(network.codec.config)
    plain.load_state_dict(weights)
    return plain.to(next(network.parameters()).device).eval()  # type: ignore[arg-type]


LENGTH, DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"


def folded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of weight-normalized modules as plain `x.weight`; the others as they are."""
    out = {}
    for name, tensor in weights.items():
        if name.endswith(DIRECTION):
            stem = name.removesuffix(DIRECTION)
            out[f"{stem}.weight"] = torch._weight_norm(tensor, weights[stem + LENGTH], 0)
        elif not name.endswith(LENGTH):
            out[name] = tensor
    return out


def unfolded(weights: dict[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """The inverse of `folded` for a network whose state dict has `names`: length and direction of each weight."""
    out = {}
    for name, tensor in weights.items():
        stem = name.removesuffix(".weight")
        if stem + DIRECTION in names:
            out[stem + DIRECTION] = tensor.clone()
            out[stem + LENGTH] = tensor.flatten(1).norm(dim=1).reshape(-1, *[1] * (tensor.ndim - 1))
        else:
            out[name] = tensor
    return out
