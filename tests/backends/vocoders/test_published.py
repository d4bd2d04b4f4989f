"""Published vocoders: the official code's numbers, the layouts people have, and what is refused in one line."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from amtts_core.audio.mel import MelConfig
from amtts_core.contract.vocoder import MelFormat, Vocoder
from amtts_core.contract.vocoder_registry import open_vocoder
from amtts_core.errors import AmttsError

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text())
MAKER = "this voice"
spec = importlib.util.spec_from_file_location("make_vocoder_golden", HERE / "make_golden.py")
assert spec
assert spec.loader
rule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rule)


def stored(name: str) -> dict[str, Tensor]:
    """The tensors of a golden network as the official code names them."""
    return {
        key: rule.weight_by_rule(key, tuple(shape))
        for key, shape in GOLDEN[name]["tensors"].items()
        if not key.endswith((".filter", "window"))
    }


def filters(name: str) -> dict[str, Tensor]:
    """The filters that BigVGAN's files hold besides."""
    from amtts_vocoders.published.bigvgan import kaiser_sinc

    keys = [key for key in GOLDEN[name]["tensors"] if key.endswith(".filter")]
    return {key: kaiser_sinc(0.25, 0.3, 12) for key in keys}


def written(name: str, folder: Path) -> Path:
    """A golden network in the official layout."""
    folder.mkdir(parents=True, exist_ok=True)
    config = GOLDEN[name]["config"]
    if name.startswith("vocos"):
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        window = {"head.istft.window": torch.hann_window(1024)}
        torch.save(stored(name) | window, folder / "pytorch_model.bin")
    else:
        (folder / "config.json").write_text(json.dumps(config))
        file = "bigvgan_generator.pt" if name.startswith("bigvgan") else "g_02500000"
        torch.save({"generator": stored(name) | filters(name)}, folder / file)
    return folder


def mel_of(name: str) -> MelFormat:
    """The mels that a golden network is for."""
    if name.startswith("vocos"):
        return MelFormat(
            sample_rate=24000,
            hop=256,
            n_fft=1024,
            window=1024,
            n_mels=100,
            fmin=0.0,
            fmax=12000.0,
            scale="htk",
            norm="none",
        )
    return MelConfig().format


def opened(path: Path, name: str) -> Vocoder:
    return open_vocoder(str(path), mel=mel_of(name), maker=MAKER)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_official_codes_numbers_come_out(name: str, tmp_path: Path) -> None:
    vocoder = opened(written(name, tmp_path), name)
    waveform = vocoder.vocode(rule.mel_by_rule(vocoder.mel.n_mels))
    expected = GOLDEN[name]
    assert len(waveform) == expected["length"]
    torch.testing.assert_close(
        waveform[:: max(1, len(waveform) // 64)], torch.tensor(expected["samples"]), rtol=1e-4, atol=2e-6
    )
    assert float(waveform.double().square().mean()) == pytest.approx(expected["mean_square"], rel=1e-4)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_stream_joins_to_the_whole(name: str, tmp_path: Path) -> None:
    vocoder = opened(written(name, tmp_path), name)
    mel = torch.sin(torch.arange(vocoder.mel.n_mels)[:, None] * 0.3 + torch.arange(170) * 0.7) * 2 - 4
    pieces = list(vocoder.stream([mel[:, i : i + 7] for i in range(0, 170, 7)]))
    assert len(pieces) > 1
    torch.testing.assert_close(torch.cat(pieces), vocoder.vocode(mel), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_copy_speaks_the_same(name: str, tmp_path: Path) -> None:
    vocoder = opened(written(name, tmp_path / "original"), name)
    vocoder.save(tmp_path / "copy")
    mel = rule.mel_by_rule(vocoder.mel.n_mels)
    again = opened(tmp_path / "copy", name)
    torch.testing.assert_close(again.vocode(mel), vocoder.vocode(mel))
    assert again.mel == vocoder.mel
    assert again.name == vocoder.name


def newer_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    pairs = (
        ("weight_g", "parametrizations.weight.original0"),
        ("weight_v", "parametrizations.weight.original1"),
    )
    for old, new in pairs:
        weights = {name.replace(old, new): tensor for name, tensor in weights.items()}
    return weights


def as_coqui(folder: Path, name: str) -> None:
    config = GOLDEN[name]["config"]
    params = {key: config[key] for key in config if key.startswith(("resblock_", "upsample_"))}
    params = {key.replace("upsample_rates", "upsample_factors"): value for key, value in params.items()}
    params["resblock_type"] = config["resblock"]
    audio = {
        "fft_size": 1024,
        "win_length": 1024,
        "hop_length": 256,
        "num_mels": 80,
        "sample_rate": 22050,
        "mel_fmin": 0.0,
        "mel_fmax": 8000.0,
        "signal_norm": False,
        "log_func": "np.log",
    }
    settings = {"generator_model": "hifigan_generator", "generator_model_params": params, "audio": audio}
    (folder / "config.json").write_text(json.dumps(settings))
    weights = {f"model_g.{key}": value for key, value in stored(name).items()}
    torch.save({"model": weights | {"model_d.x": torch.zeros(1)}, "step": 7}, folder / "model_file.pth")


LAYOUTS: dict[str, Callable[[Path, str], object]] = {
    ".pth": lambda f, n: torch.save({"generator": stored(n)}, f / "hifigan.pth"),
    ".pt": lambda f, n: torch.save({"generator": newer_names(stored(n))}, f / "generator_v1.pt"),
    "plain .bin": lambda f, n: torch.save(stored(n), f / "pytorch_model.bin"),
    "safetensors": lambda f, n: save_file(stored(n), f / "model.safetensors"),
    "half precision": lambda f, n: save_file(
        {k: v.to(torch.float16) for k, v in stored(n).items()}, f / "model.safetensors"
    ),
    "Coqui": as_coqui,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_that_people_have(layout: str, tmp_path: Path) -> None:
    name = "hifigan-v1"
    (tmp_path / "config.json").write_text(json.dumps(GOLDEN[name]["config"]))
    LAYOUTS[layout](tmp_path, name)
    wave = opened(tmp_path, name).vocode(rule.mel_by_rule(80))
    error = 3e-3 if layout == "half precision" else 2e-6
    torch.testing.assert_close(
        wave[:: len(wave) // 64], torch.tensor(GOLDEN[name]["samples"]), rtol=1e-4, atol=error
    )


def test_the_file_itself_can_be_given(tmp_path: Path) -> None:
    file = written("hifigan-v3", tmp_path) / "g_02500000"
    assert opened(file, "hifigan-v3").name == "hifigan"


def test_the_newest_generator_is_taken(tmp_path: Path) -> None:
    written("hifigan-v3", tmp_path)
    torch.save(
        {"generator": {k: v * 0 + 0.01 for k, v in stored("hifigan-v3").items()}}, tmp_path / "g_02600000"
    )
    wave = opened(tmp_path, "hifigan-v3").vocode(rule.mel_by_rule(80))
    assert float(wave.double().square().mean()) != pytest.approx(GOLDEN["hifigan-v3"]["mean_square"], rel=0.1)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_hugging_faces_own_network_sounds_the_same(before: bool, file: str, tmp_path: Path) -> None:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.manual_seed(0)
    config = SpeechT5HifiGanConfig(
        sampling_rate=22050,
        upsample_rates=[16, 16],
        upsample_kernel_sizes=[32, 32],
        upsample_initial_channel=16,
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        normalize_before=before,
    )
    network = SpeechT5HifiGan(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network.mean += 0.3
    network.scale *= 1.5
    network.save_pretrained(tmp_path)
    if file == "pytorch_model.bin":
        torch.save(network.state_dict(), tmp_path / file)
        (tmp_path / "model.safetensors").unlink()
    mel = rule.mel_by_rule(80)
    with torch.no_grad():
        expected = network(mel.T)
    vocoder = opened(tmp_path, "hifigan-v1")
    torch.testing.assert_close(vocoder.vocode(mel), expected, rtol=1e-4, atol=1e-5)
    vocoder.save(tmp_path / "copy")
    torch.testing.assert_close(
        opened(tmp_path / "copy", "hifigan-v1").vocode(mel), expected, rtol=1e-4, atol=1e-5
    )


# ---- what is refused ----


def one_line(fault: AmttsError) -> str:
    text = str(fault)
    assert "\n" not in text
    assert len(text) < 500, text
    return text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sampling_rate": 16000}, "sample rate 16000, this voice makes 22050"),
        ({"fmin": 80}, "fmin 80, this voice makes 0"),
        ({"fmax": 7600}, "fmax 7600, this voice makes 8000"),
        ({"fmax": None}, "fmax 11025, this voice makes 8000"),
        ({"win_size": 800}, "window 800, this voice makes 1024"),
        ({"n_fft": 2048}, "n_fft 2048, this voice makes 1024"),
        ({"log": "10"}, "logarithm to base 10, this voice makes e"),
        ({"upsample_rates": [8, 8, 2, 4]}, "hop 512, this voice makes 256"),
    ],
)
def test_every_mel_setting_is_compared(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    written("hifigan-v1", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(GOLDEN["hifigan-v1"]["config"] | changed))
    with pytest.raises(AmttsError, match=said) as caught:
        opened(tmp_path, "hifigan-v1")
    one_line(caught.value)


def test_vocos_is_refused_for_another_mel_scale_and_norm(tmp_path: Path) -> None:
    mel = MelConfig(sample_rate=24000, n_mels=100, fmax=12000).format
    with pytest.raises(
        AmttsError, match="mel scale htk.*makes slaney; filter norm none.*makes slaney"
    ) as caught:
        open_vocoder(str(written("vocos-center", tmp_path)), mel=mel, maker=MAKER)
    one_line(caught.value)


def test_speecht5s_vocoder_is_refused_for_natural_logarithms(tmp_path: Path) -> None:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    SpeechT5HifiGan(SpeechT5HifiGanConfig(upsample_initial_channel=16)).save_pretrained(tmp_path)
    with pytest.raises(AmttsError, match="fmin 80.*fmax 7600.*logarithm to base 10"):
        open_vocoder(str(tmp_path), mel=MelConfig(sample_rate=16000).format, maker="this codec")


class Evil:
    """Would run something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch /tmp/amtts-vocoder-evil",)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:900])


def without(name: str, file: Path) -> None:
    weights = torch.load(file, weights_only=True)
    del weights["generator"][name]
    torch.save(weights, file)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "no known kind"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "no JSON object"),
    "config is a list": (lambda f: (f / "config.json").write_text("[1]"), "no JSON object"),
    "config lacks a key": (
        lambda f: (f / "config.json").write_text(json.dumps({"resblock": "1"})),
        "lack 'upsample|lack 'num_mels",
    ),
    "no weights": (lambda f: (f / "g_02500000").unlink(), "holds no weights"),
    "empty": (lambda f: (f / "g_02500000").write_bytes(b""), "it is empty"),
    "text": (lambda f: (f / "g_02500000").write_text("version https://git-lfs"), "cannot be read safely"),
    "cut": (lambda f: cut(f / "g_02500000"), "damaged or cut short|cannot be read safely"),
    "other contents": (lambda f: torch.save({"model": {}}, f / "g_02500000"), "holds no tensors"),
    "a list": (lambda f: torch.save([1], f / "g_02500000"), "holds no tensors"),
    "code": (lambda f: torch.save({"generator": Evil()}, f / "g_02500000"), "not run"),
    "a tensor is missing": (lambda f: without("ups.1.bias", f / "g_02500000"), "'ups.1.bias' is missing"),
    "other sizes": (
        lambda f: (f / "config.json").write_text(
            json.dumps(GOLDEN["hifigan-v1"]["config"] | {"upsample_initial_channel": 64})
        ),
        r"has shape \[32.*expected \[64",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line(case: str, tmp_path: Path) -> None:
    harm, said = DAMAGE[case]
    harm(written("hifigan-v1", tmp_path / "v"))
    with pytest.raises(AmttsError, match=said) as caught:
        opened(tmp_path / "v", "hifigan-v1")
    assert str(tmp_path / "v") in one_line(caught.value)
    assert not Path("/tmp/amtts-vocoder-evil").exists()


def test_scaled_mels_of_coqui_are_refused(tmp_path: Path) -> None:
    as_coqui(tmp_path, "hifigan-v1")
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["audio"]["signal_norm"] = True
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(AmttsError, match="signal_norm true"):
        opened(tmp_path, "hifigan-v1")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("griffin-lin", "does not exist, and no vocoder has this name.*griffin-lim"),
        ("hifigan", "'hifigan' needs weights"),
    ],
)
def test_names_that_are_no_choice(choice: str, said: str) -> None:
    with pytest.raises(AmttsError, match=said) as caught:
        open_vocoder(choice, mel=MelConfig().format, maker=MAKER)
    one_line(caught.value)


def test_griffin_lim_needs_nothing() -> None:
    vocoder = open_vocoder("", mel=MelConfig().format, maker=MAKER)
    assert vocoder.name == "griffin-lim"
    mel = rule.mel_by_rule(80)
    wave = vocoder.vocode(mel)
    assert wave.shape == (rule.FRAMES * 256,)
    assert torch.equal(torch.cat(list(vocoder.stream([mel[:, :4], mel[:, 4:]]))), wave)


def test_opening_draws_no_random_numbers(tmp_path: Path) -> None:
    written("hifigan-v3", tmp_path)
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    opened(tmp_path, "hifigan-v3")
    assert torch.equal(torch.rand(1), first)
    shutil.rmtree(tmp_path)
