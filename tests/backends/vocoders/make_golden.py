"""Makes tests/backends/vocoders/golden.json: what the official code says on small networks with weights by a rule.

Needs the public repositories beside each other, which are not part of this project:

    git clone https://github.com/jik876/hifi-gan; git clone https://github.com/NVIDIA/BigVGAN
    git clone https://github.com/gemelo-ai/vocos
    python tests/backends/vocoders/make_golden.py --repositories DIR

Weights are not stored: `weight_by_rule` gives each tensor values that follow from its name and shape alone. Weight
norm is stored as the official code stores it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FILE = Path(__file__).parent / "golden.json"
FRAMES = 9
HIFIGAN: dict[str, dict[str, Any]] = {
    # the kernels, dilations and block kinds of V1, V2 and V3, narrower
    "hifigan-v1": {
        "resblock": "1",
        "upsample_rates": [8, 8, 2, 2],
        "upsample_kernel_sizes": [16, 16, 4, 4],
        "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    },
    "hifigan-v2": {
        "resblock": "1",
        "upsample_rates": [8, 8, 2, 2],
        "upsample_kernel_sizes": [16, 16, 4, 4],
        "upsample_initial_channel": 16,
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    },
    "hifigan-v3": {
        "resblock": "2",
        "upsample_rates": [8, 8, 4],
        "upsample_kernel_sizes": [16, 16, 8],
        "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3, 5, 7],
        "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
    },
}
MEL = {
    "num_mels": 80,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
}
BIGVGAN: dict[str, dict[str, Any]] = {
    "bigvgan-v2": {
        "resblock": "1",
        "upsample_rates": [4, 4, 4, 4],
        "upsample_kernel_sizes": [8, 8, 8, 8],
        "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3, 7],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
        "activation": "snakebeta",
        "snake_logscale": True,
        "use_tanh_at_final": False,
        "use_bias_at_final": False,
    },
    "bigvgan-v1-block2": {
        "resblock": "2",
        "upsample_rates": [16, 16],
        "upsample_kernel_sizes": [32, 32],
        "upsample_initial_channel": 16,
        "resblock_kernel_sizes": [3, 5],
        "resblock_dilation_sizes": [[1, 2], [2, 6]],
        "activation": "snake",
        "snake_logscale": True,
    },
}
VOCOS: dict[str, dict[str, Any]] = {
    f"vocos-{padding}": {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
            "init_args": {
                "sample_rate": 24000,
                "n_fft": 1024,
                "hop_length": 256,
                "n_mels": 100,
                "padding": padding,
            },
        },
        "backbone": {
            "class_path": "vocos.models.VocosBackbone",
            "init_args": {"input_channels": 100, "dim": 32, "intermediate_dim": 64, "num_layers": 2},
        },
        "head": {
            "class_path": "vocos.heads.ISTFTHead",
            "init_args": {"dim": 32, "n_fft": 1024, "hop_length": 256, "padding": padding},
        },
    }
    for padding in ("center", "same")
}


def weight_by_rule(name: str, shape: tuple[int, ...]) -> Tensor:
    """Values in about [-1, 1] times a size that keeps signals alive; they follow from name and shape alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") / 2**32
    count = math.prod(shape)
    values = torch.sin(torch.arange(count, dtype=torch.float64) * (1.0 + seed) * 7.31 + 10 * seed)
    if name.endswith(("weight_g", "original0", "gamma")) or (name.endswith("weight") and len(shape) == 1):
        return (0.8 + 0.2 * values).float().reshape(shape)
    if name.endswith(
        (".alpha", ".beta")
    ):  # logarithms: larger ones make a network that amplifies rounding errors
        return (values * 0.2).float().reshape(shape)
    fan = max(1, count // max(1, shape[0]))
    return (values * 1.4 / math.sqrt(fan)).float().reshape(shape)


def mel_by_rule(channels: int) -> Tensor:
    """(M, L) of values as log-mels have them."""
    rows, frames = torch.arange(channels)[:, None], torch.arange(FRAMES)[None]
    return torch.sin(rows * 0.37 + frames * 1.1) * 2 - 4 - rows * 0.03


def ruled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with values by rule; filters and windows stay."""
    return {
        name: tensor
        if name.endswith((".filter", "window", ".fb"))
        else weight_by_rule(name, tuple(tensor.shape))
        for name, tensor in state.items()
    }


def checked(name: str, network: nn.Module, mel: Tensor) -> dict[str, Any]:
    """What a test compares: names and shapes of the tensors, and the waveform."""
    network.load_state_dict(ruled(network.state_dict()))
    with torch.no_grad():
        waveform = network.eval()(mel[None]).flatten()
    if not 0.01 < float(waveform.abs().mean()) < 1:
        raise ValueError(f"{name}: mean magnitude {float(waveform.abs().mean())} says little")
    return {
        "tensors": {key: list(value.shape) for key, value in network.state_dict().items()},
        "length": len(waveform),
        "mean_square": float(waveform.double().square().mean()),
        "samples": [round(float(v), 7) for v in waveform[:: max(1, len(waveform) // 64)]],
    }


def stub(name: str, **members: Any) -> None:
    """A module that the official code imports and these networks do not use."""
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules[name] = module


def official(folder: Path, *names: str) -> list[Any]:
    """Modules of a repository, whose own modules have names such as `utils`."""
    for name in ("utils", "env", "models", "activations", "bigvgan"):
        sys.modules.pop(name, None)
    sys.path.insert(0, str(folder))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repositories", type=Path, required=True)
    folder = parser.parse_args().repositories
    for name in ("matplotlib", "librosa", "librosa.util", "librosa.filters", "encodec", "torchaudio"):
        stub(name, use=lambda *_: None, EncodecModel=object)
    stub("matplotlib.pylab")
    stub("scipy.io.wavfile", write=None)
    stub("meldataset", MAX_WAV_VALUE=32768.0)
    stub("torchaudio.functional")
    stub("torchaudio.functional.functional", _hz_to_mel=None, _mel_to_hz=None)
    stub("torchaudio.transforms")
    golden: dict[str, Any] = {}
    models, env = official(folder / "hifi-gan", "models", "env")
    for name, settings in HIFIGAN.items():
        network = models.Generator(env.AttrDict({**MEL, **settings}))
        golden[name] = {"config": {**MEL, **settings}} | checked(name, network, mel_by_rule(80))
    bigvgan, env = official(folder / "BigVGAN", "bigvgan", "env")
    for name, settings in BIGVGAN.items():
        network = bigvgan.BigVGAN(env.AttrDict({**MEL, **settings}))
        golden[name] = {"config": {**MEL, **settings}} | checked(name, network, mel_by_rule(80))
    heads, vocos_models = official(folder / "vocos", "vocos.heads", "vocos.models")
    for name, settings in VOCOS.items():
        body = vocos_models.VocosBackbone(**settings["backbone"]["init_args"])
        head = heads.ISTFTHead(**settings["head"]["init_args"])

        class Network(nn.Module):
            def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
                super().__init__()
                self.backbone, self.head = backbone, head

            def forward(self, mel: Tensor) -> Tensor:
                return self.head(self.backbone(mel))

        golden[name] = {"config": settings} | checked(name, Network(body, head), mel_by_rule(100))
    FILE.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
