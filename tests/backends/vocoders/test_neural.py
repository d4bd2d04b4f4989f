"""The vocoder that trains here: its source, its spectra, its stream, and what it does to a mel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.contract.vocoder_registry import open_vocoder
from amtts_core.errors import AmttsError
from amtts_vocoders.neural.backend import VocoderBackend
from amtts_vocoders.neural.config import PRESETS, VocoderConfig
from amtts_vocoders.neural.losses import spectral_energy_distance
from amtts_vocoders.neural.network import VocoderNetwork
from amtts_vocoders.neural.plain import PlainVocoder
from amtts_vocoders.neural.source import cycles_of, fine_gain, noise, noise_table, pulses, upsampled
from amtts_vocoders.neural.spectrum import FrameSpectrum, real_fft, scaled
from amtts_vocoders.neural.vocoder import NeuralVocoder

RATE, HOP = 22050, 256


def config_of(**changes: Any) -> VocoderConfig:
    return VocoderConfig.model_validate({**PRESETS["tiny"], **changes})


@pytest.fixture(scope="module")
def network() -> VocoderNetwork:
    """Tiny, with weights that do something in every layer."""
    torch.manual_seed(0)
    speaker = VocoderBackend(config_of()).network.speaker
    with torch.no_grad():
        for name, parameter in speaker.named_parameters():
            if name not in ("steps", "momentum"):
                parameter += 0.02 * torch.randn_like(parameter)
    return speaker.eval()


def voice(frames: int, *, pitch: float = 140.0) -> Tensor:
    """A buzz (T,) with moving formants and some noise."""
    time = torch.arange(frames * HOP) / RATE
    buzz = sum(torch.sin(2 * torch.pi * pitch * k * time + k * k) / k for k in range(1, 30))
    assert isinstance(buzz, Tensor)
    random = torch.Generator().manual_seed(1)
    swell = 0.6 + 0.4 * torch.sin(2 * torch.pi * 3 * time)
    return 0.1 * swell * buzz + 0.003 * torch.randn(len(time), generator=random)


def mel_of(waveform: Tensor, config: MelConfig | None = None) -> Tensor:
    """(M, L)."""
    return log_mel(waveform[None], config or MelConfig())[0]


# ---- source ----


def test_pulses_are_the_sum_of_all_cosines() -> None:
    pitch = torch.full((1, 40), 180.0)
    cycles = cycles_of(pitch, hop=HOP, rate=RATE)
    made = pulses(cycles, pitch, hop=HOP, rate=RATE, highest=8010.0)
    count = 8010 // 180
    phase = 2 * torch.pi * cycles[0]
    cosines = sum(torch.cos(k * phase) for k in range(1, count + 1))
    next_one = torch.cos((count + 1) * phase) * (8010 / 180 - count)
    expected = (cosines + next_one) * np.sqrt(4 * 180 / RATE)
    torch.testing.assert_close(made[0].double(), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("hertz", [60.0, 123.4, 400.0])
def test_pulses_are_as_loud_as_the_noise_up_to_their_highest_harmonic(hertz: float) -> None:
    pitch = torch.full((1, 400), hertz)
    made = pulses(cycles_of(pitch, hop=HOP, rate=RATE), pitch, hop=HOP, rate=RATE, highest=8000.0)
    assert float(made.square().mean()) == pytest.approx(8000 / (RATE / 2), rel=0.05)


def test_noise_is_white_in_bands_that_add_up_and_repeats() -> None:
    table = noise_table(RATE).double()
    assert float(table.sum(0).var()) == pytest.approx(1, rel=0.02)
    spectrum = torch.fft.rfft(table.sum(0)).abs().square()
    parts = spectrum[1:-1].unflatten(0, (-1, 217)).mean(1) / len(table[0])
    assert 0.5 < float(parts.min()) <= float(parts.max()) < 1.6
    begin = torch.tensor([5, 65530])
    torch.testing.assert_close(noise(begin, 20, rate=RATE)[1, :, 6:], table[:, :14].float())
    assert float(table[0].sum()) == pytest.approx(float(noise_table(RATE)[0].double().sum()))


def test_values_between_frames_are_linear_and_do_not_depend_on_the_length() -> None:
    values = torch.tensor([[1.0, 3.0, 2.0, 5.0]])
    whole = upsampled(values, 8)
    expected = torch.nn.functional.interpolate(values[None], scale_factor=8, mode="linear")[0]
    torch.testing.assert_close(whole, expected)
    torch.testing.assert_close(upsampled(values[:, :3], 8)[:, :16], whole[:, :16])


def test_a_gain_within_frames_has_its_places() -> None:
    logs = torch.zeros(1, 3, 2, 4)
    logs[0, 1, 1, 2] = 2.0
    gain = fine_gain(logs, 16)
    assert gain.shape == (1, 2, 48)
    assert torch.equal(gain[0, 0], torch.ones(48))
    assert int(gain[0, 1].argmax()) in range(16 + 8, 16 + 12)


# ---- spectra ----


def test_spectra_are_the_mels_and_go_both_ways() -> None:
    spectrum = FrameSpectrum(MelConfig())
    wave = voice(30)[None]
    there = spectrum(wave)
    assert there.shape == (1, 30, 513)
    torch.testing.assert_close(spectrum.inverse(there), wave, atol=1e-5, rtol=0)
    torch.testing.assert_close(spectrum.log_mel(there)[0].T, mel_of(wave[0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [7, 8, 160])
def test_the_gradient_of_our_fft_is_torchs(size: int) -> None:
    frames = torch.randn(3, size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, size // 2 + 1, dtype=torch.complex128)
    found = [
        torch.autograd.grad((transform(frames) * weight).abs().pow(1.5).sum(), frames)[0]
        for transform in (real_fft, torch.fft.rfft)
    ]
    torch.testing.assert_close(found[0], found[1])


def test_complex_times_real() -> None:
    spectrum, gain = torch.randn(2, 5, dtype=torch.complex64), torch.rand(2, 5)
    torch.testing.assert_close(scaled(spectrum, gain), spectrum * gain)


# ---- what it does ----


def test_projections_bring_the_mel_nearer(network: VocoderNetwork) -> None:
    target = mel_of(voice(120)).T[None]
    start = torch.randn(1, 120 * HOP, generator=torch.Generator().manual_seed(0)) * 0.05
    with torch.no_grad():
        errors = []
        for times in (0, 1, 3, 10):
            made = network.project(start, target, times=times)
            errors.append(float((network.spectrum.log_mel(network.spectrum(made)) - target).abs().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]


def test_a_mel_spoken_has_that_mel(network: VocoderNetwork) -> None:
    mel = mel_of(voice(100))
    wave = NeuralVocoder(network).vocode(mel)
    assert wave.shape == (100 * HOP,)
    assert float(wave.abs().max()) <= 1
    assert float((mel_of(wave) - mel).abs().mean()) < 0.2


@pytest.mark.parametrize("frames", [1, 2, 5, 90, 91, 400])
@pytest.mark.parametrize("piece", [1, 23, 1000])
def test_a_stream_joins_to_the_whole(network: VocoderNetwork, frames: int, piece: int) -> None:
    vocoder = NeuralVocoder(network)
    mel = mel_of(voice(max(frames, 5)))[:, :frames]
    whole = vocoder.vocode(mel, seed=3)
    pieces = list(vocoder.stream((mel[:, i : i + piece] for i in range(0, frames, piece)), seed=3))
    assert len(pieces) > (frames > 91)
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-5)


def test_the_first_piece_of_a_stream_comes_before_the_mel_is_over(network: VocoderNetwork) -> None:
    heard: list[int] = []
    mel = mel_of(voice(400))

    def arriving() -> Any:
        for frame in range(0, 400, 10):
            heard.append(frame)
            yield mel[:, frame : frame + 10]

    next(NeuralVocoder(network).stream(arriving()))
    assert heard[-1] < 200


def test_the_seed_chooses_the_noise(network: VocoderNetwork) -> None:
    vocoder, mel = NeuralVocoder(network), mel_of(voice(40))
    assert torch.equal(vocoder.vocode(mel, seed=1), vocoder.vocode(mel, seed=1))
    assert not torch.equal(vocoder.vocode(mel, seed=1), vocoder.vocode(mel, seed=2))


def test_the_plain_module_for_onnx_computes_the_same(network: VocoderNetwork) -> None:
    """As the vocoder speaks: with silence before and behind the mel."""
    mel = mel_of(voice(60))
    with torch.no_grad():
        plain = PlainVocoder(network)(mel[None])[0]
    torch.testing.assert_close(plain, NeuralVocoder(network).vocode(mel), rtol=0, atol=1e-4)


# ---- losses ----


def test_the_energy_distance_is_smallest_for_the_recordings_own_noise_level() -> None:
    """A plain distance prefers noise that is too weak; with repulsion the right level wins."""
    random = torch.Generator().manual_seed(0)

    def draw(level: float) -> Tensor:
        return torch.randn(24, 8000, generator=random) * level

    def distance(level: float, repulsion: float) -> float:
        made = [draw(level) for _ in range(2)]
        return float(
            spectral_energy_distance(draw(1.0), made[0], made[1], windows=(512,), repulsion=repulsion)
        )

    levels = [0.5, 0.7, 1.0, 1.4, 2.0]
    assert levels[int(np.argmin([distance(level, 1.0) for level in levels]))] == 1.0
    assert levels[int(np.argmin([distance(level, 0.0) for level in levels]))] <= 1.0


# ---- settings and files ----


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kernel": 4}, "even"),
        ({"places": 7}, "does not divide"),
        ({"projections": 2}, "training_projections 3 is more"),
        ({"mel": {"hop": 320}}, "must divide"),
        ({"pitch": {"low": 600.0}}, "not below"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config_of(**values)


@pytest.mark.parametrize("preset", PRESETS)
def test_sizes_are_as_promised(preset: str) -> None:
    speaker = VocoderBackend(VocoderConfig.model_validate(PRESETS[preset])).network.speaker
    count = sum(parameter.numel() for parameter in speaker.parameters())
    low, high = {"tiny": (0.1e6, 0.4e6), "base": (1e6, 3e6), "large": (12e6, 16e6)}[preset]
    assert low < count < high


@pytest.fixture(scope="module")
def checkpoint(network: VocoderNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_of()
    backend = VocoderBackend(config)
    backend.network.speaker.load_state_dict(network.state_dict())
    folder = tmp_path_factory.mktemp("vocoder") / "checkpoint"
    write_backend(folder, backend)
    return folder


def test_a_checkpoint_is_a_vocoder_and_so_is_its_copy(
    checkpoint: Path, network: VocoderNetwork, tmp_path: Path
) -> None:
    mel = mel_of(voice(30))
    expected = NeuralVocoder(network).vocode(mel)
    vocoder = open_vocoder(str(checkpoint), mel=MelConfig().format, maker="this voice")
    torch.testing.assert_close(vocoder.vocode(mel), expected)
    vocoder.save(tmp_path / "copy")
    again = open_vocoder(str(tmp_path / "copy"), mel=MelConfig().format, maker="this voice")
    torch.testing.assert_close(again.vocode(mel), expected)


def test_half_precision_on_disk_sounds_nearly_the_same(
    checkpoint: Path, network: VocoderNetwork, tmp_path: Path
) -> None:
    from amtts_vocoders.neural.vocoder import save_slim

    save_slim(read_checkpoint(checkpoint), tmp_path / "half", dtype=torch.float16)
    size = [(f / "model.safetensors").stat().st_size for f in (checkpoint, tmp_path / "half")]
    assert size[1] < 0.55 * size[0]
    vocoder = open_vocoder(str(tmp_path / "half"), mel=MelConfig().format, maker="this voice")
    mel = mel_of(voice(30))
    assert float((mel_of(vocoder.vocode(mel)) - mel).abs().mean()) < 0.2


def test_a_vocoder_for_other_mels_is_refused(checkpoint: Path) -> None:
    with pytest.raises(AmttsError, match="fmax 8000, this codec makes 7600"):
        open_vocoder(str(checkpoint), mel=MelConfig(fmax=7600).format, maker="this codec")


def test_it_reads_no_text(network: VocoderNetwork) -> None:
    from amtts_core.contract.types import SynthesisRequest

    with pytest.raises(AmttsError, match="reads no text"):
        VocoderBackend(config_of()).synthesize([SynthesisRequest(tokens=[1])])
