"""HiFi-GAN (Kong et al. 2020), V1 to V3: files of jik876/hifi-gan, Hugging Face (SpeechT5HifiGan) and Coqui.

| written by | settings | weights |
|---|---|---|
| jik876/hifi-gan, forks | `config.json` with `upsample_rates` | `g_*`, `generator*`, `.pth`, `.pt`: key `generator` |
| Hugging Face transformers | `config.json` with `model_type: hifigan` | `model.safetensors`, `pytorch_model.bin` |
| Coqui TTS | `config.json` with `generator_model_params` | `.pth` with `model`, names `model_g.*` |
"""

from __future__ import annotations

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

SLOPE = 0.1
SPEECHT5 = {"n_fft": 1024, "win_size": 1024, "fmin": 80.0, "fmax": 7600.0, "log": "10"}
"""Of the mels that `SpeechT5HifiGan` of 16 kHz is published for; its config.json does not say so."""


class ResidualBlock(nn.Module):
    """Kind `1`: `convs1` dilated, each followed by one of `convs2`; kind `2`: `convs` alone."""

    def __init__(
        self, channels: int, kernel: int, dilations: Iterable[int], *, kind: str, slope: float
    ) -> None:
        super().__init__()
        dilations = list(dilations)
        self._slope, self._kind = slope, kind
        if kind == "1":
            self.convs1 = block_convolutions(channels, kernel, dilations)
            self.convs2 = block_convolutions(channels, kernel, [1] * len(dilations))
        else:
            self.convs = block_convolutions(channels, kernel, dilations)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        if self._kind == "1":
            for dilated, plain in zip(self.convs1, self.convs2, strict=True):
                inner = dilated(functional.leaky_relu(hidden, self._slope))
                hidden = hidden + plain(functional.leaky_relu(inner, self._slope))
            return hidden
        for conv in self.convs:
            hidden = hidden + conv(functional.leaky_relu(hidden, self._slope))
        return hidden


class HifiGanGenerator(nn.Module):
    """Mel (B, M, L) -> waveform (B, T)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, sizes: UpsamplingSizes, *, slope: float = SLOPE) -> None:
        super().__init__()
        self._slope = slope
        self.register_buffer("mean", torch.zeros(sizes.num_mels))
        self.register_buffer("scale", torch.ones(sizes.num_mels))
        self.conv_pre = nn.Conv1d(sizes.num_mels, sizes.channels, 7, padding=3)
        self.ups = nn.ModuleList(upsamplers(sizes))
        self.resblocks = nn.ModuleList(
            ResidualBlock(
                sizes.channels // 2 ** (place + 1), kernel, dilations, kind=sizes.block, slope=slope
            )
            for place in range(len(sizes.rates))
            for kernel, dilations in zip(sizes.block_kernels, sizes.block_dilations, strict=True)
        )
        self.conv_post = nn.Conv1d(sizes.channels // 2 ** len(sizes.rates), 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, M, L) -> (B, T)."""
        hidden = self.conv_pre((mel - self.mean[:, None]) / self.scale[:, None])
        each = len(self.resblocks) // len(self.ups)
        for place, up in enumerate(self.ups):
            hidden = up(functional.leaky_relu(hidden, self._slope))
            blocks = self.resblocks[place * each : (place + 1) * each]
            hidden = torch.stack([block(hidden) for block in blocks]).mean(0)
        return torch.tanh(self.conv_post(functional.leaky_relu(hidden)))[:, 0]


class HifiGan:
    """A HiFi-GAN as a `Vocoder`."""

    name = "hifigan"
    needs_weights = True
    license = "as its weights; those of jik876/hifi-gan and SpeechT5 are MIT"

    def __init__(
        self,
        network: HifiGanGenerator,
        sizes: UpsamplingSizes,
        mel: MelFormat,
        *,
        settings: Mapping[str, Any],
    ) -> None:
        self.network, self.mel = network.eval(), mel
        self._sizes, self._settings = sizes, settings

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """A config.json of one of the three writers, or any at all that no other vocoder has."""
        settings = files.peek(path, "config.json")
        if "backend" in settings or "snake_logscale" in settings:
            return False
        return bool(settings) or (files.folder_of(path) / "config.json").is_file()

    @classmethod
    def open(cls, path: Path | None, *, mel: MelFormat) -> HifiGan:
        """Reads settings and weights of any of the three writers."""
        assert path is not None
        settings = files.peek(path, "config.json")
        source = files.folder_of(path) / "config.json"
        if not settings:
            raise AmttsError(f"vocoder {source} is no JSON object with settings")
        try:
            if "generator_model_params" in settings:
                return _coqui(path, settings)
            if _is_hugging_face(settings):
                return _hugging_face(path, settings)
            return _original(path, settings)
        except (TypeError, ValueError, KeyError) as error:
            raise AmttsError(
                f"vocoder {source} describes no HiFi-GAN ({type(error).__name__}: {error})",
                remedy="Put the config.json beside the weights that they were trained with",
            ) from None

    @torch.inference_mode()
    def vocode(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """(M, L) -> (T,)."""
        frames = mel.float().to(self.network.conv_pre.weight.device)
        return self.network(frames[None])[0, : mel.shape[1] * self._sizes.hop].cpu()

    def module(self) -> HifiGanGenerator:
        """The generator."""
        return self.network

    def stream(self, pieces: Iterable[Tensor], *, seed: int = 0) -> Iterator[Tensor]:
        """Windows with all frames that a sample depends on."""
        return windowed_stream(self.vocode, pieces, context=self._sizes.context(), hop=self._sizes.hop)

    def to(self, device: torch.device | str) -> HifiGan:
        """Moves the network."""
        self.network.to(device)
        return self

    def save(self, folder: Path) -> None:
        """Settings in the layout of jik876/hifi-gan, weights as safetensors."""
        files.write_copy(folder, self._settings, self.network.state_dict(), name="config.json")


def _is_hugging_face(settings: Mapping[str, Any]) -> bool:
    return settings.get("model_type") == "hifigan" or "SpeechT5HifiGan" in settings.get("architectures", [])


def _sizes(settings: Mapping[str, Any], source: Path, *, num_mels: int, block: str) -> UpsamplingSizes:
    sizes = UpsamplingSizes(
        num_mels=num_mels,
        channels=int(files.number(settings, ["upsample_initial_channel"], source=source)),
        rates=[int(r) for r in files.number(settings, ["upsample_rates", "upsample_factors"], source=source)],
        kernels=[int(k) for k in files.number(settings, ["upsample_kernel_sizes"], source=source)],
        block_kernels=[int(k) for k in files.number(settings, ["resblock_kernel_sizes"], source=source)],
        block_dilations=[list(d) for d in files.number(settings, ["resblock_dilation_sizes"], source=source)],
        block=block,
    )
    sizes.require_sound(source)
    return sizes


def _original(path: Path, settings: Mapping[str, Any]) -> HifiGan:
    source = files.folder_of(path) / "config.json"
    file = files.weights_file(path, "g_*", "generator*", "model.safetensors")
    block = str(settings.get("resblock", "1"))
    sizes = _sizes(
        settings, source, num_mels=int(files.number(settings, ["num_mels"], source=source)), block=block
    )
    rate = int(files.number(settings, ["sampling_rate", "sample_rate"], source=source))
    n_fft = settings.get("n_fft")
    mel = MelFormat(
        sample_rate=rate,
        hop=sizes.hop,
        n_fft=n_fft,
        window=settings.get("win_size", n_fft),
        n_mels=sizes.num_mels,
        fmin=settings.get("fmin"),
        fmax=settings["fmax"] or rate / 2 if "fmax" in settings else None,
        log=settings.get("log", "e"),
    )
    weights = files.read_weights(file, keys=("generator", "model", "state_dict"), prefixes=("generator.", ""))
    return _built(sizes, mel, files.as_float(weights), file, settings)


def _hugging_face(path: Path, settings: Mapping[str, Any]) -> HifiGan:
    source = files.folder_of(path) / "config.json"
    file = files.weights_file(path, "model.safetensors", "pytorch_model.bin")
    sizes = _sizes(
        settings, source, num_mels=int(files.number(settings, ["model_in_dim"], source=source)), block="1"
    )
    rate = int(files.number(settings, ["sampling_rate"], source=source))
    known = {**(SPEECHT5 if rate == 16000 else {}), **settings}
    mel = MelFormat(
        sample_rate=rate,
        hop=sizes.hop,
        n_fft=known.get("n_fft"),
        window=known.get("win_size"),
        n_mels=sizes.num_mels,
        fmin=known.get("fmin"),
        fmax=known.get("fmax"),
        log=known.get("log"),
    )
    weights = files.as_float(files.read_weights(file, keys=("state_dict", "model")))
    renamed = {name.replace("upsampler.", "ups.", 1): tensor for name, tensor in weights.items()}
    mean, scale = renamed.pop("mean", None), renamed.pop("scale", None)
    for name, found in (("mean", mean), ("scale", scale)):
        if found is None or found.shape != (sizes.num_mels,):
            held = (
                "is missing"
                if found is None
                else f"has shape {list(found.shape)}, expected [{sizes.num_mels}]"
            )
            raise AmttsError(
                f"vocoder {file} does not fit the settings beside it: the tensor '{name}' {held}"
            )
    if not settings.get("normalize_before", True):
        mean = scale = None
    kept = {**_as_original(sizes, mel), "normalize": mean is not None}
    return _built(
        sizes, mel, renamed, file, kept, mean=mean, scale=scale, slope=settings.get("leaky_relu_slope")
    )


def _coqui(path: Path, settings: Mapping[str, Any]) -> HifiGan:
    source = files.folder_of(path) / "config.json"
    kind = settings.get("generator_model")
    if kind != "hifigan_generator":
        raise AmttsError(
            f"vocoder {source} is a Coqui vocoder of kind '{kind}', expected 'hifigan_generator'"
        )
    audio, params = settings["audio"], settings["generator_model_params"]
    if audio.get("signal_norm") or audio.get("stats_path"):
        raise AmttsError(
            f"vocoder {source} is for mels that Coqui scales (signal_norm true); they are not scaled here",
            remedy="Use a vocoder for unscaled natural-log mels (signal_norm false)",
        )
    sizes = _sizes(
        params, source, num_mels=int(audio["num_mels"]), block=str(params.get("resblock_type", "1"))
    )
    rate = int(audio["sample_rate"])
    mel = MelFormat(
        sample_rate=rate,
        hop=sizes.hop,
        n_fft=audio.get("fft_size"),
        window=audio.get("win_length"),
        n_mels=sizes.num_mels,
        fmin=audio.get("mel_fmin"),
        fmax=audio.get("mel_fmax") or rate / 2,
        log="10" if audio.get("log_func", "np.log") == "np.log10" else "e",
    )
    file = files.weights_file(path, "model_file.pth*", "best_model*", "checkpoint_*")
    weights = files.read_weights(file, keys=("model", "generator"), prefixes=("model_g.", ""))
    return _built(sizes, mel, files.as_float(weights), file, _as_original(sizes, mel))


def _as_original(sizes: UpsamplingSizes, mel: MelFormat) -> dict[str, Any]:
    """Settings in the layout of jik876/hifi-gan; what is unknown is left out."""
    known: dict[str, Any] = {
        "resblock": sizes.block,
        "num_mels": sizes.num_mels,
        "sampling_rate": mel.sample_rate,
        "n_fft": mel.n_fft,
        "win_size": mel.window,
        "hop_size": sizes.hop,
        "fmin": mel.fmin,
        "fmax": mel.fmax,
        "log": mel.log,
        "upsample_initial_channel": sizes.channels,
        "upsample_rates": list(sizes.rates),
        "upsample_kernel_sizes": list(sizes.kernels),
        "resblock_kernel_sizes": list(sizes.block_kernels),
        "resblock_dilation_sizes": [list(d) for d in sizes.block_dilations],
    }
    return {name: value for name, value in known.items() if value is not None}


def _built(
    sizes: UpsamplingSizes,
    mel: MelFormat,
    weights: Mapping[str, Tensor],
    file: Path,
    settings: Mapping[str, Any],
    *,
    mean: Tensor | None = None,
    scale: Tensor | None = None,
    slope: float | None = None,
) -> HifiGan:
    weights = files.without_weight_norm(weights)
    network = HifiGanGenerator(sizes, slope=slope or float(settings.get("leaky_relu_slope", SLOPE)))
    for name, given in (("mean", mean), ("scale", scale)):  # the inputs' scaling, which most writers have not
        weights.setdefault(name, getattr(network, name) if given is None else given)
    files.fill(network, weights, file)
    return HifiGan(network, sizes, mel, settings=settings)
