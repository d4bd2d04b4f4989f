"""The whole network: the generator, and the discriminators it learns against.

Module names inside the generator are those of transformers' `VitsModel`, so that its tensors are a Hugging Face
checkpoint. During training the decoder's upsampler and residual blocks carry weight norm too; `folded_copy` has none.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.nn.utils import parametrize

from amtts_core.nn.undrawn import Undrawn
from amtts_vits.config import VitsSettings
from amtts_vits.discriminator import Discriminator
from amtts_vits.modules import Generator
from amtts_vits.sizes import GeneratorSizes
from amtts_vits.weights import add_decoder_norm, folded_weights

SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "window_size",
    "ffn_dim",
    "ffn_kernel_size",
    "flow_size",
    "prior_encoder_num_flows",
    "prior_encoder_num_wavenet_layers",
    "posterior_encoder_num_wavenet_layers",
    "wavenet_kernel_size",
    "wavenet_dilation_rate",
    "upsample_initial_channel",
    "upsample_rates",
    "upsample_kernel_sizes",
    "resblock_kernel_sizes",
    "resblock_dilation_sizes",
    "use_stochastic_duration_prediction",
    "duration_predictor_num_flows",
    "duration_predictor_flow_bins",
    "duration_predictor_kernel_size",
    "duration_predictor_filter_channels",
)
"""Settings that `VitsSettings` and `GeneratorSizes` share and that decide which tensors there are."""

PARTS = {
    "text": "text_encoder",
    "duration": "duration_predictor",
    "posterior": "posterior_encoder",
    "flow": "flow",
    "decoder": "decoder",
}
"""Our short names of the generator's parts -> module names."""

NEAR_ZERO = 1e-5
"""Deviation of the layers that the paper starts at exactly zero. This small, the flows are the identity all the same,
and the layers behind them get a gradient from the first step on."""


class VitsNetwork(nn.Module):
    """Generator and, in GAN mode, discriminator; its state dict is a checkpoint's `model.safetensors`."""

    def __init__(self, settings: VitsSettings, *, vocab_size: int, num_speakers: int) -> None:
        super().__init__()
        self.generator = Generator(model_config(settings, vocab_size=vocab_size, num_speakers=num_speakers))
        add_decoder_norm(self.generator.decoder)
        initialize(self.generator)
        self.discriminator: Discriminator | None = None
        if settings.mode == "gan":
            self.discriminator = Discriminator(
                periods=settings.discriminator.periods,
                period_channels=settings.discriminator.period_channels,
                scale_channels=settings.discriminator.scale_channels,
                resolutions=settings.discriminator.resolutions,
                resolution_channels=settings.discriminator.resolution_channels,
            )
        for part in settings.freeze:
            getattr(self.generator, PARTS[part]).requires_grad_(False)


def model_config(settings: VitsSettings, *, vocab_size: int, num_speakers: int) -> GeneratorSizes:
    """The settings as sizes of a generator."""
    several = num_speakers > 1
    sizes = {name: getattr(settings, name) for name in SIZES}
    return GeneratorSizes(
        **sizes,
        vocab_size=vocab_size,
        num_speakers=max(1, num_speakers),
        speaker_embedding_size=settings.speaker_embedding_size if several else 0,
        spectrogram_bins=settings.mel.n_fft // 2 + 1,
        hidden_dropout=settings.hidden_dropout,
        attention_dropout=settings.hidden_dropout,
        activation_dropout=settings.hidden_dropout,
        duration_predictor_dropout=settings.duration_predictor_dropout,
        noise_scale=settings.noise_scale,
        noise_scale_duration=settings.noise_scale_duration,
        sampling_rate=settings.mel.sample_rate,
    )


def separate_copy(model: Generator) -> Generator:
    """A copy whose weight norm can be folded.

    `copy.deepcopy` will not do: a copied layer shares its class with the original, and torch takes weight norm out of
    the class, which would leave the original without its weight.
    """
    with Undrawn():
        copied = Generator(model.config)
    add_decoder_norm(copied.decoder)
    copied.load_state_dict(model.state_dict(), strict=True)
    return copied.to(model.device).eval().requires_grad_(False)


@torch.no_grad()
def folded_copy(model: Generator) -> Generator:
    """A copy for speaking, weight norm multiplied out; what carries none is shared with `model`, not copied."""
    with Undrawn():
        plain = Generator(model.config.model_copy(update={"weight_norm": False}))
    plain.load_state_dict(folded_weights(model.state_dict()), strict=True, assign=True)
    return plain.eval().requires_grad_(False)


@torch.no_grad()
def initialize(model: Any) -> None:
    """Draws a generator's weights as the published code does."""
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Linear):
            _draw_layer(module)
    config = model.config
    init.normal_(model.text_encoder.embed_tokens.weight, std=config.hidden_size**-0.5)
    for layer in model.text_encoder.encoder.layers:
        attention = layer.attention
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
            init.xavier_uniform_(linear.weight)
    for flow in model.flow.flows:
        _nearly_zero(flow.conv_post)
    predictor = model.duration_predictor
    for flow in [*getattr(predictor, "flows", [])[1:], *getattr(predictor, "post_flows", [])[1:]]:
        _nearly_zero(flow.conv_proj)
    if config.num_speakers > 1:
        init.normal_(model.embed_speaker.weight)


def _draw_layer(layer: nn.Conv1d | nn.ConvTranspose1d | nn.Linear) -> None:
    """torch's default: uniform within 1 / sqrt(inputs of one output), also where weight norm is in between."""
    weight: Tensor = torch.empty_like(layer.weight)
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if parametrize.is_parametrized(layer, "weight"):
        layer.weight = weight  # is split into length and direction
    else:
        layer.weight.copy_(weight)
    if layer.bias is not None:
        bound = 1 / math.sqrt(weight[0].numel())
        init.uniform_(layer.bias, -bound, bound)


def _nearly_zero(layer: nn.Conv1d) -> None:
    init.normal_(layer.weight, std=NEAR_ZERO)
    if layer.bias is not None:
        init.zeros_(layer.bias)
