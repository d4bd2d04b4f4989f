"""Vocos for mels (Siuzdak 2023): `config.yaml` and `pytorch_model.bin`, or a checkpoint of its training."""

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
from amtts_vocoders.windowed import windowed_stream

SETTINGS = ("config.yaml", "config.yml")
LOUDEST = 1e2


class VocosBlock(nn.Module):
    """ConvNeXt block under its published names."""

    def __init__(self, channels: int, inner: int, *, scaled: bool) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1 = nn.Linear(channels, inner)
        self.pwconv2 = nn.Linear(inner, channels)
        self.gamma = nn.Parameter(torch.ones(channels)) if scaled else None

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        mixed = self.norm(self.dwconv(hidden).transpose(1, 2))
        mixed = self.pwconv2(functional.gelu(self.pwconv1(mixed)))
        if self.gamma is not None:
            mixed = self.gamma * mixed
        return hidden + mixed.transpose(1, 2)


class VocosBackbone(nn.Module):
    """(B, M, L) -> (B, L, C)."""

    def __init__(self, mels: int, channels: int, inner: int, layers: int, *, scaled: bool) -> None:
        super().__init__()
        self.embed = nn.Conv1d(mels, channels, 7, padding=3)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.convnext = nn.ModuleList(VocosBlock(channels, inner, scaled=scaled) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, M, L) -> (B, L, C)."""
        hidden = self.norm(self.embed(mel).transpose(1, 2)).transpose(1, 2)
        for block in self.convnext:
            hidden = block(hidden)
        return self.final_layer_norm(hidden.transpose(1, 2))


class VocosHead(nn.Module):
    """Magnitudes and phases from a linear layer, then the inverse STFT; padding `center` or `same` as published."""

    window: Tensor

    def __init__(self, channels: int, n_fft: int, hop: int, *, padding: str) -> None:
        super().__init__()
        self.n_fft, self.hop, self.padding = n_fft, hop, padding
        self.out = nn.Linear(channels, n_fft + 2)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, L, C) -> (B, T): T = (L - 1) * hop where centered, else L * hop."""
        loud, phase = self.out(hidden).transpose(1, 2).chunk(2, dim=1)
        spectrum = torch.polar(loud.exp().clamp(max=LOUDEST), phase)
        frames = torch.fft.irfft(spectrum, self.n_fft, dim=1) * self.window[:, None]
        length = (frames.shape[2] - 1) * self.hop + self.n_fft
        squares = self.window.square()[None, :, None].expand(1, -1, frames.shape[2])
        shape = {"output_size": (1, length), "kernel_size": (1, self.n_fft), "stride": (1, self.hop)}
        total = functional.fold(frames, **shape)[:, 0, 0]
        weight = functional.fold(squares, **shape)[:, 0, 0]
        cut = self.n_fft // 2 if self.padding == "center" else (self.n_fft - self.hop) // 2
        return (total[:, cut : length - cut] / weight[:, cut : length - cut]).clamp(-10, 10)


class VocosNetwork(nn.Module):
    """Mel (B, M, L) -> waveform (B, T)."""

    def __init__(self, backbone: VocosBackbone, head: VocosHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, mel: Tensor) -> Tensor:
        """(B, M, L) -> (B, T)."""
        waveform: Tensor = self.head(self.backbone(mel))
        return waveform


class Vocos:
    """A Vocos as a `Vocoder`."""

    name = "vocos"
    needs_weights = True
    license = "as its weights; those of charactr/vocos-mel-24khz are MIT"

    def __init__(self, network: VocosNetwork, mel: MelFormat, *, settings: Mapping[str, Any]) -> None:
        self.network, self.mel = network.eval(), mel
        self._settings = settings
        reach = -(-network.head.n_fft // network.head.hop)
        self._context = 3 * (len(network.backbone.convnext) + 1) + reach + 1

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """A config.yaml with a backbone and a head."""
        settings = files.peek(path, *SETTINGS)
        return "head" in _parts(settings) and "backbone" in _parts(settings)

    @classmethod
    def open(cls, path: Path | None, *, mel: MelFormat) -> Vocos:
        """Reads settings and weights."""
        assert path is not None
        source = files.folder_of(path) / SETTINGS[0]
        try:
            return _opened(path, _parts(files.peek(path, *SETTINGS)), source)
        except (TypeError, ValueError, KeyError) as error:
            raise AmttsError(
                f"vocoder {source} describes no Vocos for mels ({type(error).__name__}: {error})",
                remedy="Put the config.yaml beside the weights that they were trained with",
            ) from None

    @torch.inference_mode()
    def vocode(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """(M, L) -> (T,)."""
        device = self.network.head.out.weight.device
        return self.network(mel.float().to(device)[None])[0].clamp(-1, 1).cpu()

    def stream(self, pieces: Iterable[Tensor], *, seed: int = 0) -> Iterator[Tensor]:
        """Windows with all frames that a sample depends on."""
        return windowed_stream(self.vocode, pieces, context=self._context, hop=self.network.head.hop)

    def to(self, device: torch.device | str) -> Vocos:
        """Moves the network."""
        self.network.to(device)
        return self

    def save(self, folder: Path) -> None:
        """Settings as they were, weights as safetensors."""
        files.write_copy(folder, self._settings, self.network.state_dict(), name="config.yaml")


def _parts(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The network's parts: at the top, or in a training's settings under model.init_args."""
    model = settings.get("model")
    inner = model.get("init_args") if isinstance(model, dict) else None
    return inner if isinstance(inner, dict) else settings


def _arguments(parts: Mapping[str, Any], part: str, kind: str, source: Path) -> dict[str, Any]:
    named = str(parts[part]["class_path"]).rpartition(".")[2]
    if named != kind:
        raise AmttsError(f"vocoder {source} has {part} '{named}', expected '{kind}'")
    return dict(parts[part].get("init_args") or {})


def _opened(path: Path, parts: Mapping[str, Any], source: Path) -> Vocos:
    reader = _arguments(parts, "feature_extractor", "MelSpectrogramFeatures", source)
    body = _arguments(parts, "backbone", "VocosBackbone", source)
    head = _arguments(parts, "head", "ISTFTHead", source)
    padding = str(head.get("padding", "same"))
    n_fft, hop = int(head["n_fft"]), int(head["hop_length"])
    scale = body.get("layer_scale_init_value")
    network = VocosNetwork(
        VocosBackbone(
            int(body["input_channels"]),
            int(body["dim"]),
            int(body["intermediate_dim"]),
            int(body["num_layers"]),
            scaled=scale is None or scale >= 0,
        ),
        VocosHead(int(head["dim"]), n_fft, hop, padding=padding),
    )
    rate = int(reader.get("sample_rate", 24000))
    window = int(reader.get("n_fft", 1024))
    mel = MelFormat(
        sample_rate=rate,
        hop=hop,
        n_fft=window,
        window=window,
        n_mels=int(body["input_channels"]),
        fmin=0.0,
        fmax=rate / 2,
        scale="htk",
        norm="none",
        centered=padding == "center",
    )
    file = files.weights_file(path, "pytorch_model.bin", "model.safetensors", "vocos_checkpoint*")
    stored = files.as_float(files.read_weights(file, keys=("state_dict", "model")))
    weights = {
        name: tensor
        for name, tensor in stored.items()
        if name.startswith(("backbone.", "head.")) and not name.startswith("head.istft.")
    }
    files.fill(network, weights, file)
    settings = {part: dict(parts[part]) for part in ("feature_extractor", "backbone", "head")}
    return Vocos(network, mel, settings=settings)
