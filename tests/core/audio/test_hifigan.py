"""A HiFi-GAN given by path: two layouts, one sound; what does not fit is told in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from amtts_core.audio.hifigan import load_hifigan
from amtts_core.audio.mel import MelConfig
from amtts_core.errors import AmttsError

MEL = MelConfig()
ORIGINAL = {
    "resblock": "1",
    "num_mels": 80,
    "sampling_rate": 22050,
    "upsample_initial_channel": 16,
    "upsample_rates": [16, 16],
    "upsample_kernel_sizes": [32, 32],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
}


@pytest.fixture(scope="module")
def network() -> SpeechT5HifiGan:
    torch.manual_seed(0)
    settings = {k: v for k, v in ORIGINAL.items() if k not in ("resblock", "num_mels")}
    network = SpeechT5HifiGan(SpeechT5HifiGanConfig(model_in_dim=80, normalize_before=False, **settings))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def hugging_face(network: SpeechT5HifiGan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocoder") / "hf"
    network.save_pretrained(folder)
    return folder


def split(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Any (g, v) with weight = g * v / |v|, the norm over all axes but the first."""
    return weight.flatten(1).norm(dim=1).reshape(-1, 1, 1), 3.0 * weight


@pytest.fixture(scope="module")
def original(network: SpeechT5HifiGan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as jik876/hifi-gan stores it: `ups.N.weight_g`, `ups.N.weight_v`, ..."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in network.state_dict().items():
        name = name.replace("upsampler.", "ups.")
        if name.endswith(".weight"):
            weights[name + "_g"], weights[name + "_v"] = split(tensor)
        elif name not in ("mean", "scale"):
            weights[name] = tensor
    assert "ups.0.weight_g" in weights
    assert "conv_pre.weight_v" in weights
    assert "resblocks.0.convs1.0.weight_g" in weights
    folder = tmp_path_factory.mktemp("vocoder") / "original"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(ORIGINAL))
    torch.save({"generator": weights}, folder / "g_00000001")
    return folder


def test_both_layouts_sound_the_same(hugging_face: Path, original: Path, network: SpeechT5HifiGan) -> None:
    mel = torch.randn(80, 11, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(mel.T)
    for folder in (hugging_face, original):
        wave = load_hifigan(str(folder), MEL)(mel)
        assert wave.shape == (11 * 256,)
        torch.testing.assert_close(wave, expected, rtol=1e-4, atol=1e-5)


def test_names_of_newer_torch_load_too(original: Path, tmp_path: Path) -> None:
    folder = copied(original, tmp_path)
    weights = torch.load(folder / "g_00000001", weights_only=True)["generator"]
    renamed = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in weights.items()
    }
    torch.save({"generator": renamed}, folder / "g_00000001")
    mel = torch.randn(80, 5)
    torch.testing.assert_close(
        load_hifigan(str(folder), MEL)(mel), load_hifigan(str(original), MEL)(mel), rtol=1e-4, atol=1e-5
    )


def test_the_newest_generator_is_taken(original: Path, tmp_path: Path) -> None:
    folder = copied(original, tmp_path)
    weights = torch.load(folder / "g_00000001", weights_only=True)["generator"]
    torch.save(
        {"generator": {name: torch.zeros_like(tensor) + 1e-3 for name, tensor in weights.items()}},
        folder / "g_00000002",
    )
    mel = torch.randn(80, 4)
    assert not torch.equal(load_hifigan(str(folder), MEL)(mel), load_hifigan(str(original), MEL)(mel))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (MelConfig(sample_rate=16000), "has sample rate 22050, the backend makes 16000"),
        (MelConfig(hop=128), "has hop 256, the backend makes 128"),
        (MelConfig(n_mels=100), "has mel channels 80, the backend makes 100"),
    ],
)
@pytest.mark.parametrize("layout", ["hugging_face", "original"])
def test_other_sizes_are_told_with_both_numbers(
    layout: str, config: MelConfig, said: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(AmttsError, match=said) as caught:
        load_hifigan(str(request.getfixturevalue(layout)), config)
    one_line(caught.value)


def copied(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "copy"))


def one_line(fault: AmttsError) -> None:
    assert "\n" not in str(fault)
    assert len(str(fault)) < 400, str(fault)


def without_key(path: Path, key: str) -> None:
    settings = json.loads(path.read_text())
    del settings[key]
    path.write_text(json.dumps(settings))


def drop_tensor(folder: Path) -> None:
    weights = torch.load(folder / "g_00000001", weights_only=True)["generator"]
    del weights["ups.1.weight_g"]
    torch.save({"generator": weights}, folder / "g_00000001")


def drop_hf_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["conv_post.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def shrink_hf_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["conv_pre.weight"] = weights["conv_pre.weight"][:, :40].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no config": ("original", lambda f: (f / "config.json").unlink()),
    "config is no JSON": ("original", lambda f: (f / "config.json").write_text("{")),
    "config is a list": ("original", lambda f: (f / "config.json").write_text("[1]")),
    "config is a number": ("original", lambda f: (f / "config.json").write_text("7")),
    "config lacks a key": ("original", lambda f: without_key(f / "config.json", "num_mels")),
    "no generator": ("original", lambda f: (f / "g_00000001").unlink()),
    "generator is empty": ("original", lambda f: (f / "g_00000001").write_bytes(b"")),
    "generator is text": ("original", lambda f: (f / "g_00000001").write_text("version https://lfs")),
    "generator is cut": (
        "original",
        lambda f: (f / "g_00000001").write_bytes((f / "g_00000001").read_bytes()[:900]),
    ),
    "no key generator": ("original", lambda f: torch.save({"model": {}}, f / "g_00000001")),
    "generator is a list": ("original", lambda f: torch.save({"generator": [1]}, f / "g_00000001")),
    "a tensor is missing": ("original", drop_tensor),
    "no weights": ("hugging_face", lambda f: (f / "model.safetensors").unlink()),
    "weights are cut": (
        "hugging_face",
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:900]),
    ),
    "a HF tensor is missing": ("hugging_face", drop_hf_tensor),
    "a HF tensor is smaller": ("hugging_face", shrink_hf_tensor),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line_that_names_the_vocoder(
    case: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    layout, harm = DAMAGE[case]
    folder = copied(request.getfixturevalue(layout), tmp_path)
    harm(folder)
    with pytest.raises(AmttsError) as caught:
        load_hifigan(str(folder), MEL)
    assert str(folder) in str(caught.value)
    one_line(caught.value)


@pytest.mark.parametrize("what", ["nothing there", "a file"])
def test_no_folder(what: str, tmp_path: Path) -> None:
    path = tmp_path / "vocoder"
    if what == "a file":
        path.write_text("x")
    with pytest.raises(AmttsError, match="config.json cannot be read"):
        load_hifigan(str(path), MEL)
