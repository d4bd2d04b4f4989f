"""The generator of VITS (Kim et al. 2021) as torch modules: flow, posterior encoder, decoder, duration predictors.

Tensors are named as in transformers' `VitsModel`, so that published folders load strictly and what is trained here
loads there. WaveNets carry weight norm until it is folded; the decoder gets it for training, see `weights`.

On a CPU each frame's channels lie beside one another in memory (`layers`).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from amtts_vits.layers import channels_last, conv
from amtts_vits.sizes import GeneratorSizes
from amtts_vits.text_encoder import TextEncoder


def _plain(layer: nn.Module) -> nn.Module:
    return layer


class WaveNet(nn.Module):
    """Gated convolutions (van den Oord et al. 2016); the speaker, where there is one, moves every gate."""

    def __init__(self, sizes: GeneratorSizes, num_layers: int) -> None:
        super().__init__()
        normed = weight_norm if sizes.weight_norm else _plain
        self.hidden_size, self.num_layers = sizes.hidden_size, num_layers
        self.in_layers, self.res_skip_layers = nn.ModuleList(), nn.ModuleList()
        self.dropout = nn.Dropout(sizes.wavenet_dropout)
        width, kernel = sizes.hidden_size, sizes.wavenet_kernel_size
        if sizes.speaker_embedding_size:
            self.cond_layer = normed(nn.Conv1d(sizes.speaker_embedding_size, 2 * width * num_layers, 1))
        for number in range(num_layers):
            dilation = sizes.wavenet_dilation_rate**number
            padding = (kernel - 1) * dilation // 2
            inner = nn.Conv1d(width, 2 * width, kernel, dilation=dilation, padding=padding)
            outer = nn.Conv1d(width, 2 * width if number < num_layers - 1 else width, 1)
            self.in_layers.append(normed(inner))
            self.res_skip_layers.append(normed(outer))

    def forward(self, values: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """(B, C, L), (B, 1, L), (B, S, 1) or None -> (B, C, L)."""
        size = self.hidden_size
        given = None if speaker is None else self.cond_layer(speaker)
        total: Tensor | None = None
        for number, (inner, outer) in enumerate(zip(self.in_layers, self.res_skip_layers, strict=True)):
            hidden = conv(inner, values)
            if given is not None:
                hidden = hidden + given[:, 2 * size * number : 2 * size * (number + 1)]
            gated = torch.tanh(hidden[:, :size]) * torch.sigmoid(hidden[:, size:])
            made = conv(outer, self.dropout(gated))
            if number < self.num_layers - 1:
                values = (values + made[:, :size]) * mask
                made = made[:, size:]
            total = made if total is None else total + made
        assert total is not None
        return total * mask


class PosteriorEncoder(nn.Module):
    """What a recording says about the latent; used in training and for copies of recordings."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(sizes.spectrogram_bins, sizes.hidden_size, 1)
        self.wavenet = WaveNet(sizes, sizes.posterior_encoder_num_wavenet_layers)
        self.conv_proj = nn.Conv1d(sizes.hidden_size, 2 * sizes.flow_size, 1)

    def forward(self, spectrogram: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Spectrogram (B, F, L) -> mean and log standard deviation (B, 2 C, L)."""
        hidden = conv(self.conv_pre, channels_last(spectrogram)) * mask
        return conv(self.conv_proj, self.wavenet(hidden, mask, speaker)) * mask


class CouplingLayer(nn.Module):
    """Moves one half of the channels by what the other says; volume is kept."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        half = sizes.flow_size // 2
        self.conv_pre = nn.Conv1d(half, sizes.hidden_size, 1)
        self.wavenet = WaveNet(sizes, sizes.prior_encoder_num_wavenet_layers)
        self.conv_post = nn.Conv1d(sizes.hidden_size, half, 1)

    def forward(
        self, latent: Tensor, mask: Tensor, speaker: Tensor | None = None, *, reverse: bool = False
    ) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        kept, moved = latent.chunk(2, dim=1)
        hidden = self.wavenet(conv(self.conv_pre, kept) * mask, mask, speaker)
        shift = conv(self.conv_post, hidden) * mask
        moved = (moved - shift) * mask if reverse else shift + moved * mask
        return torch.cat([kept, moved], dim=1)


class Flow(nn.Module):
    """The coupling layers, channels turned round between them."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.flows = nn.ModuleList(CouplingLayer(sizes) for _ in range(sizes.prior_encoder_num_flows))

    def forward(
        self, latent: Tensor, mask: Tensor, speaker: Tensor | None = None, *, reverse: bool = False
    ) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        latent = channels_last(latent)
        for layer in reversed(self.flows) if reverse else self.flows:
            if reverse:
                latent = layer(torch.flip(latent, [1]), mask, speaker, reverse=True)
            else:
                latent = torch.flip(layer(latent, mask, speaker), [1])
        return latent


class ResidualBlock(nn.Module):
    """Dilated convolutions of one kernel size, each pair added to what came in."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)
            for dilation in dilations
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2) for _ in dilations
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for wide, narrow in zip(self.convs1, self.convs2, strict=True):
            inner = conv(wide, functional.leaky_relu(hidden, self.slope))
            hidden = hidden + conv(narrow, functional.leaky_relu(inner, self.slope))
        return hidden


class Decoder(nn.Module):
    """HiFi-GAN (Kong et al. 2020): frames of the latent to samples."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.slope = sizes.leaky_relu_slope
        self.num_kernels = len(sizes.resblock_kernel_sizes)
        channels = sizes.upsample_initial_channel
        self.conv_pre = nn.Conv1d(sizes.flow_size, channels, 7, padding=3)
        self.upsampler, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(sizes.upsample_rates, sizes.upsample_kernel_sizes, strict=True):
            padding = (kernel - rate) // 2
            self.upsampler.append(
                nn.ConvTranspose1d(channels, channels // 2, kernel, stride=rate, padding=padding)
            )
            channels //= 2
            for size, dilations in zip(
                sizes.resblock_kernel_sizes, sizes.resblock_dilation_sizes, strict=True
            ):
                self.resblocks.append(ResidualBlock(channels, size, dilations, self.slope))
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3, bias=False)
        if sizes.speaker_embedding_size:
            self.cond = nn.Conv1d(sizes.speaker_embedding_size, sizes.upsample_initial_channel, 1)

    def forward(self, frames: Tensor, speaker: Tensor | None = None) -> Tensor:
        """(B, C, L) and (B, S, 1) or None -> (B, 1, L x hop)."""
        hidden = conv(self.conv_pre, channels_last(frames))
        if speaker is not None:
            hidden = hidden + self.cond(speaker)
        for number, upsampler in enumerate(self.upsampler):
            hidden = conv(upsampler, functional.leaky_relu(hidden, self.slope))
            first = number * self.num_kernels
            parts = [block(hidden) for block in self.resblocks[first : first + self.num_kernels]]
            hidden = functools.reduce(torch.add, parts) / len(parts)
        return torch.tanh(conv(self.conv_post, functional.leaky_relu(hidden)))


class SeparableConvs(nn.Module):
    """Dilated depth-wise convolutions of the stochastic duration predictor."""

    def __init__(self, sizes: GeneratorSizes, dropout: float = 0.0) -> None:
        super().__init__()
        kernel, channels = sizes.duration_predictor_kernel_size, sizes.hidden_size
        self.dropout = nn.Dropout(dropout)
        self.convs_dilated, self.convs_pointwise = nn.ModuleList(), nn.ModuleList()
        self.norms_1, self.norms_2 = nn.ModuleList(), nn.ModuleList()
        for number in range(sizes.depth_separable_num_layers):
            dilation = kernel**number
            padding = (kernel - 1) * dilation // 2
            self.convs_dilated.append(
                nn.Conv1d(channels, channels, kernel, groups=channels, dilation=dilation, padding=padding)
            )
            self.convs_pointwise.append(nn.Conv1d(channels, channels, 1))
            self.norms_1.append(nn.LayerNorm(channels))
            self.norms_2.append(nn.LayerNorm(channels))

    def forward(self, values: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, N), (B, 1, N), (B, C, N) or None -> (B, C, N)."""
        if condition is not None:
            values = values + condition
        values = channels_last(values)
        layers = zip(self.convs_dilated, self.convs_pointwise, self.norms_1, self.norms_2, strict=True)
        for dilated, pointwise, first, second in layers:
            hidden = _normed(first, conv(dilated, values * mask))
            hidden = _normed(second, conv(pointwise, hidden))
            values = values + self.dropout(hidden)
        return values * mask


def _normed(norm: nn.Module, values: Tensor) -> Tensor:
    return functional.gelu(norm(values.transpose(1, 2)).transpose(1, 2))


class ConvFlow(nn.Module):
    """Tensors of a spline flow; `duration` computes it."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.filter_channels = sizes.hidden_size
        self.half_channels = sizes.depth_separable_channels // 2
        self.num_bins = sizes.duration_predictor_flow_bins
        self.tail_bound = sizes.duration_predictor_tail_bound
        self.conv_pre = nn.Conv1d(self.half_channels, self.filter_channels, 1)
        self.conv_dds = SeparableConvs(sizes)
        self.conv_proj = nn.Conv1d(self.filter_channels, self.half_channels * (3 * self.num_bins - 1), 1)


class ElementwiseAffine(nn.Module):
    """Tensors of the affine layer in front of the spline flows."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.translate = nn.Parameter(torch.zeros(sizes.depth_separable_channels, 1))
        self.log_scale = nn.Parameter(torch.zeros(sizes.depth_separable_channels, 1))


class StochasticDurationPredictor(nn.Module):
    """Tensors of the predictor that draws durations; `duration` computes it."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        width, dropout = sizes.hidden_size, sizes.duration_predictor_dropout
        self.conv_pre = nn.Conv1d(width, width, 1)
        self.conv_proj = nn.Conv1d(width, width, 1)
        self.conv_dds = SeparableConvs(sizes, dropout)
        if sizes.speaker_embedding_size:
            self.cond = nn.Conv1d(sizes.speaker_embedding_size, width, 1)
        self.flows = self._flows(sizes)
        self.post_conv_pre = nn.Conv1d(1, width, 1)
        self.post_conv_proj = nn.Conv1d(width, width, 1)
        self.post_conv_dds = SeparableConvs(sizes, dropout)
        self.post_flows = self._flows(sizes)

    @staticmethod
    def _flows(sizes: GeneratorSizes) -> nn.ModuleList:
        splines = [ConvFlow(sizes) for _ in range(sizes.duration_predictor_num_flows)]
        return nn.ModuleList([ElementwiseAffine(sizes), *splines])


class DurationPredictor(nn.Module):
    """One duration a symbol, learned by regression."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        kernel, width = sizes.duration_predictor_kernel_size, sizes.duration_predictor_filter_channels
        self.dropout = nn.Dropout(sizes.duration_predictor_dropout)
        self.conv_1 = nn.Conv1d(sizes.hidden_size, width, kernel, padding=kernel // 2)
        self.norm_1 = nn.LayerNorm(width, eps=sizes.layer_norm_eps)
        self.conv_2 = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.norm_2 = nn.LayerNorm(width, eps=sizes.layer_norm_eps)
        self.proj = nn.Conv1d(width, 1, 1)
        if sizes.speaker_embedding_size:
            self.cond = nn.Conv1d(sizes.speaker_embedding_size, sizes.hidden_size, 1)

    def forward(self, hidden: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """(B, H, N), (B, 1, N), (B, S, 1) or None -> log frames (B, 1, N); no gradient leaves it."""
        hidden = hidden.detach()
        if speaker is not None:
            hidden = hidden + self.cond(speaker.detach())
        for layer, norm in ((self.conv_1, self.norm_1), (self.conv_2, self.norm_2)):
            hidden = torch.relu(layer(hidden * mask))
            hidden = self.dropout(norm(hidden.transpose(1, 2)).transpose(1, 2))
        out: Tensor = self.proj(hidden * mask) * mask
        return out


class Generator(nn.Module):
    """Everything but the discriminators. Its parts are called one by one: `generator` trains, `inference` speaks."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.config = sizes
        self.text_encoder = TextEncoder(sizes)
        self.flow = Flow(sizes)
        self.decoder = Decoder(sizes)
        self.duration_predictor: StochasticDurationPredictor | DurationPredictor = (
            StochasticDurationPredictor(sizes)
            if sizes.use_stochastic_duration_prediction
            else DurationPredictor(sizes)
        )
        if sizes.num_speakers > 1:
            self.embed_speaker = nn.Embedding(sizes.num_speakers, sizes.speaker_embedding_size)
        self.posterior_encoder = PosteriorEncoder(sizes)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.text_encoder.embed_tokens.weight.device
