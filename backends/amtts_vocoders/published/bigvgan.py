"""BigVGAN and BigVGAN v2 (Lee et al. 2023): `config.json` with `snake_logscale`, weights under `generator`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.contract.vocoder import MelFormat
from amtts_core.errors import AmttsError
from amtts_vocoders.published import files
from amtts_vocoders.published.upsampling import UpsamplingSizes, block_convolutions, upsamplers
from amtts_vocoders.windowed import windowed_stream

TAPS = 12
REACH = 12
"""Samples on both sides that an anti-aliased activation depends on, at most."""


def kaiser_sinc(cutoff: float, half_width: float, taps: int) -> Tensor:
    """A low-pass filter (1, 1, taps): a sinc under a Kaiser window, of sum 1 (as in alias-free-torch)."""
    half = taps // 2
    attenuation = 2.285 * (half - 1) * math.pi * 4 * half_width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation >= 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    window = torch.kaiser_window(taps, beta=beta, periodic=False)
    time = torch.arange(-half, half) + 0.5 if taps % 2 == 0 else torch.arange(taps) - half
    filter_ = 2 * cutoff * window * torch.sinc(2 * cutoff * time)
    return (filter_ / filter_.sum()).view(1, 1, taps)


class Snake(nn.Module):
    """x + sin(a x)^2 / b, with b = a unless `beta` (Ziyin et al. 2020); both stored as logarithms or as they are."""

    def __init__(self, channels: int, *, beta: bool, logarithms: bool) -> None:
        super().__init__()
        self._logarithms = logarithms
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels)) if beta else None

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        alpha: Tensor = self.alpha
        beta: Tensor = alpha if self.beta is None else self.beta
        if self._logarithms:
            alpha, beta = alpha.exp(), beta.exp()
        wave = (hidden * alpha[:, None]).sin().square()
        return hidden + wave / (beta[:, None] + 1e-9)


class _Filter(nn.Module):
    """Holds one filter under its published name."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", kaiser_sinc(0.25, 0.3, TAPS))


class _Downsampler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lowpass = _Filter()


class AliasFree(nn.Module):
    """An activation at twice the rate, so that its overtones do not fold back."""

    def __init__(self, activation: Snake) -> None:
        super().__init__()
        self.act = activation
        self.upsample = _Filter()
        self.downsample = _Downsampler()

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        channels, pad = hidden.shape[1], TAPS // 2 - 1
        wide = functional.pad(hidden, (pad, pad), mode="replicate")
        up = self.upsample.filter.expand(channels, -1, -1)
        wide = 2 * functional.conv_transpose1d(wide, up, stride=2, groups=channels)
        cut = pad * 2 + (TAPS - 2) // 2
        wide = self.act(wide[..., cut : -(pad * 2 + (TAPS - 1) // 2)])
        wide = functional.pad(wide, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        down = self.downsample.lowpass.filter.expand(channels, -1, -1)
        return functional.conv1d(wide, down, stride=2, groups=channels)


class AmpBlock(nn.Module):
    """Residual block with anti-aliased activations; kinds as of HiFi-GAN's."""

    def __init__(
        self, channels: int, kernel: int, dilations: list[int], *, kind: str, snake: dict[str, bool]
    ) -> None:
        super().__init__()
        self._kind = kind
        if kind == "1":
            self.convs1 = block_convolutions(channels, kernel, dilations)
            self.convs2 = block_convolutions(channels, kernel, [1] * len(dilations))
        else:
            self.convs = block_convolutions(channels, kernel, dilations)
        count = len(dilations) * (2 if kind == "1" else 1)
        self.activations = nn.ModuleList(AliasFree(Snake(channels, **snake)) for _ in range(count))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        if self._kind == "1":
            parts = zip(self.convs1, self.convs2, self.activations[::2], self.activations[1::2], strict=True)
            for dilated, plain, first, second in parts:
                hidden = hidden + plain(second(dilated(first(hidden))))
            return hidden
        for conv, activation in zip(self.convs, self.activations, strict=True):
            hidden = hidden + conv(activation(hidden))
        return hidden


class BigVganGenerator(nn.Module):
    """Mel (B, M, L) -> waveform (B, T)."""

    def __init__(self, sizes: UpsamplingSizes, *, snake: dict[str, bool], tanh: bool, bias: bool) -> None:
        super().__init__()
        self._tanh = tanh
        last = sizes.channels // 2 ** len(sizes.rates)
        self.conv_pre = nn.Conv1d(sizes.num_mels, sizes.channels, 7, padding=3)
        self.ups = nn.ModuleList(nn.ModuleList([up]) for up in upsamplers(sizes))
        self.resblocks = nn.ModuleList(
            AmpBlock(
                sizes.channels // 2 ** (place + 1), kernel, list(dilations), kind=sizes.block, snake=snake
            )
            for place in range(len(sizes.rates))
            for kernel, dilations in zip(sizes.block_kernels, sizes.block_dilations, strict=True)
        )
        self.activation_post = AliasFree(Snake(last, **snake))
        self.conv_post = nn.Conv1d(last, 1, 7, padding=3, bias=bias)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, M, L) -> (B, T)."""
        hidden = self.conv_pre(mel)
        each = len(self.resblocks) // len(self.ups)
        for place, up in enumerate(self.ups):
            hidden = up[0](hidden)  # type: ignore[index]
            blocks = self.resblocks[place * each : (place + 1) * each]
            hidden = torch.stack([block(hidden) for block in blocks]).mean(0)
        waveform = self.conv_post(self.activation_post(hidden))[:, 0]
        return waveform.tanh() if self._tanh else waveform.clamp(-1, 1)


class BigVgan:
    """A BigVGAN as a `Vocoder`."""

    name = "bigvgan"
    needs_weights = True
    license = "as its weights; those of NVIDIA/BigVGAN are MIT"

    def __init__(
        self,
        network: BigVganGenerator,
        sizes: UpsamplingSizes,
        mel: MelFormat,
        *,
        settings: Mapping[str, Any],
    ) -> None:
        self.network, self.mel = network.eval(), mel
        self._sizes, self._settings = sizes, settings

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """A config.json with `snake_logscale`."""
        return "snake_logscale" in files.peek(path, "config.json")

    @classmethod
    def open(cls, path: Path | None, *, mel: MelFormat) -> BigVgan:
        """Reads settings and weights."""
        assert path is not None
        source = files.folder_of(path) / "config.json"
        settings = files.peek(path, "config.json")
        try:
            return _opened(path, settings, source)
        except (TypeError, ValueError, KeyError) as error:
            raise AmttsError(
                f"vocoder {source} describes no BigVGAN ({type(error).__name__}: {error})",
                remedy="Put the config.json beside the weights that they were trained with",
            ) from None

    @torch.inference_mode()
    def vocode(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """(M, L) -> (T,)."""
        device = self.network.conv_pre.weight.device
        return self.network(mel.float().to(device)[None])[0, : mel.shape[1] * self._sizes.hop].cpu()

    def module(self) -> BigVganGenerator:
        """The generator."""
        return self.network

    def stream(self, pieces: Iterable[Tensor], *, seed: int = 0) -> Iterator[Tensor]:
        """Windows with all frames that a sample depends on."""
        context = self._sizes.context(activation=REACH)
        return windowed_stream(self.vocode, pieces, context=context, hop=self._sizes.hop)

    def to(self, device: torch.device | str) -> BigVgan:
        """Moves the network."""
        self.network.to(device)
        return self

    def save(self, folder: Path) -> None:
        """Settings as they were, weights as safetensors."""
        files.write_copy(folder, self._settings, self.network.state_dict(), name="config.json")


def _opened(path: Path, settings: Mapping[str, Any], source: Path) -> BigVgan:
    sizes = UpsamplingSizes(
        num_mels=int(files.number(settings, ["num_mels"], source=source)),
        channels=int(files.number(settings, ["upsample_initial_channel"], source=source)),
        rates=[int(r) for r in files.number(settings, ["upsample_rates"], source=source)],
        kernels=[int(k) for k in files.number(settings, ["upsample_kernel_sizes"], source=source)],
        block_kernels=[int(k) for k in files.number(settings, ["resblock_kernel_sizes"], source=source)],
        block_dilations=[list(d) for d in files.number(settings, ["resblock_dilation_sizes"], source=source)],
        block=str(settings.get("resblock", "1")),
    )
    sizes.require_sound(source)
    activation = settings.get("activation")
    if activation not in ("snake", "snakebeta"):
        raise AmttsError(f"vocoder {source} has activation '{activation}', expected 'snake' or 'snakebeta'")
    network = BigVganGenerator(
        sizes,
        snake={"beta": activation == "snakebeta", "logarithms": bool(settings["snake_logscale"])},
        tanh=bool(settings.get("use_tanh_at_final", True)),
        bias=bool(settings.get("use_bias_at_final", True)),
    )
    rate = int(files.number(settings, ["sampling_rate"], source=source))
    mel = MelFormat(
        sample_rate=rate,
        hop=sizes.hop,
        n_fft=settings.get("n_fft"),
        window=settings.get("win_size"),
        n_mels=sizes.num_mels,
        fmin=settings.get("fmin"),
        fmax=settings.get("fmax") or rate / 2,
    )
    file = files.weights_file(path, "bigvgan_generator*", "g_*", "generator*", "model.safetensors")
    weights = files.as_float(files.read_weights(file, keys=("generator", "state_dict", "model")))
    files.fill(network, files.without_weight_norm(weights), file)
    return BigVgan(network, sizes, mel, settings=settings)
