"""Log-mels and Griffin-Lim: the filter bank against transformers', a golden chirp, the way there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_voice import RATE, tiny_speech, tiny_text
from transformers.audio_utils import mel_filter_bank

from amtts_core.audio.griffin_lim import griffin_lim, mel_to_linear
from amtts_core.audio.mel import (
    LOG_FLOOR,
    MelConfig,
    hz_to_mel,
    linear_spectrogram,
    log_mel,
    mel_filters,
    mel_to_hz,
)

MEL = MelConfig()


def chirp() -> torch.Tensor:
    """A second from 100 Hz to 7 kHz, half of full scale, (1, T)."""
    time = np.arange(MEL.sample_rate) / MEL.sample_rate
    wave = 0.5 * np.sin(2 * np.pi * (100 * time + (7000 - 100) / 2 * time**2))
    return torch.from_numpy(wave.astype(np.float32))[None]


@pytest.mark.parametrize(
    "config",
    [
        MEL,
        MelConfig(sample_rate=16000, n_fft=800, hop=200, fmin=55, fmax=7600),
        MelConfig(sample_rate=24000, n_fft=1920, hop=480, n_mels=100, fmax=12000),
    ],
    ids=["22k", "16k", "24k"],
)
def test_filters_equal_those_of_transformers(config: MelConfig) -> None:
    """Source: transformers.audio_utils.mel_filter_bank, which copies librosa's Slaney scale and norm."""
    theirs = mel_filter_bank(
        num_frequency_bins=config.n_fft // 2 + 1,
        num_mel_filters=config.n_mels,
        min_frequency=config.fmin,
        max_frequency=config.fmax,
        sampling_rate=config.sample_rate,
        norm="slaney",
        mel_scale="slaney",
    ).T
    np.testing.assert_allclose(mel_filters(config).numpy(), theirs, atol=1e-7)


@given(st.floats(0, 20000))
def test_mel_scale_has_an_inverse(hz: float) -> None:
    assert mel_to_hz(hz_to_mel(np.array(hz))) == pytest.approx(hz, abs=1e-6, rel=1e-9)


def test_log_mel_of_a_chirp_is_what_it_was() -> None:
    """Golden numbers of this implementation (torch 2.13, CPU), so that a change of the maths shows."""
    mel = log_mel(chirp(), MEL)[0]
    assert mel.shape == (80, 86)
    assert mel.double().mean().item() == pytest.approx(-10.04114, abs=1e-3)
    assert mel[::16, 40].tolist() == pytest.approx(
        [-11.5129, -11.5129, -11.5129, -10.8596, -10.7705], abs=2e-3
    )
    assert mel[20, ::15].tolist() == pytest.approx(
        [-3.7817, -8.7683, -11.5129, -11.5129, -11.5129, -11.5129], abs=2e-3
    )
    assert mel.argmax(0)[::10].tolist() == [3, 25, 40, 50, 57, 63, 67, 71, 75], "the tone rises"


def test_silence_is_the_floor() -> None:
    assert log_mel(torch.zeros(1, 4096), MEL).unique().tolist() == pytest.approx([np.log(LOG_FLOOR)])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3000))
def test_any_length_gives_finite_frames(samples: int) -> None:
    mel = log_mel(torch.full((2, samples), 0.1), MEL)
    assert mel.shape == (2, 80, max(1, samples // MEL.hop))
    assert bool(torch.isfinite(mel).all())


@pytest.mark.parametrize("samples", [1, 2, 255, 384, 385, 1023])
def test_short_waveforms_work(samples: int) -> None:
    assert bool(torch.isfinite(log_mel(torch.ones(1, samples), MEL)).all())


def test_items_of_a_batch_do_not_mix() -> None:
    waves = torch.randn(3, 5000, generator=torch.Generator().manual_seed(0)) * 0.1
    together = log_mel(waves, MEL)
    for row in range(3):
        torch.testing.assert_close(together[row], log_mel(waves[row : row + 1], MEL)[0])


def test_filters_first_made_in_inference_mode_can_be_trained_with() -> None:
    """A voice that speaks before it learns must not leave tensors that autograd refuses."""
    config = MelConfig(n_mels=17)
    with torch.inference_mode():
        griffin_lim(torch.zeros(17, 6), config, iterations=1)
    wave = torch.randn(1, 4096, requires_grad=True)
    log_mel(wave, config).sum().backward()
    assert wave.grad is not None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"fmax": 12000.0}, "fmin < fmax <= 11025"),
        ({"fmin": 9000.0}, "fmin < fmax"),
        ({"hop": 2048}, "samples would be skipped"),
        ({"hop": 0}, "greater than 0"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MelConfig(**values)  # type: ignore[arg-type]


# ---- Griffin-Lim ----


def test_linear_magnitudes_give_back_their_mel() -> None:
    mel = log_mel(chirp(), MEL)[0].exp()
    linear = mel_to_linear(mel, MEL)
    assert linear.shape == (513, 86)
    assert float(linear.min()) >= 0
    error = (mel_filters(MEL) @ linear - mel).norm() / mel.norm()
    assert float(error) < 0.02
    above = int(8000 / (MEL.sample_rate / 2) * 512) + 1
    assert float(linear[above:].max()) == 0, "nothing is known above fmax"


def test_the_mel_of_the_result_is_near_the_asked_one() -> None:
    random = np.random.default_rng(0)
    wave = torch.from_numpy(tiny_speech(tiny_text(random, 9), random, rate=RATE))[None]
    asked = log_mel(wave, MEL)[0]
    made = griffin_lim(asked, MEL)
    assert made.shape == (asked.shape[1] * MEL.hop,)
    got = log_mel(made[None], MEL)[0]
    assert float((got - asked).abs().mean()) < 0.35, "a third of a neper, 3 dB"
    assert float((got.exp() - asked.exp()).norm() / asked.exp().norm()) < 0.3
    assert float(made.pow(2).mean().sqrt()) == pytest.approx(float(wave.pow(2).mean().sqrt()), rel=0.25)


def test_more_iterations_come_nearer() -> None:
    asked = log_mel(chirp(), MEL)[0]
    target = mel_to_linear(asked.exp(), MEL)

    def distance(iterations: int) -> float:
        wave = griffin_lim(asked, MEL, iterations=iterations)
        return float((linear_spectrogram(wave[None], MEL)[0] - target).norm() / target.norm())

    assert distance(30) < distance(1)


def test_the_seed_decides_the_phase() -> None:
    asked = log_mel(chirp(), MEL)[0][:, :20]
    state = torch.get_rng_state()
    first = griffin_lim(asked, MEL, iterations=3, seed=4)
    assert torch.equal(first, griffin_lim(asked, MEL, iterations=3, seed=4))
    assert not torch.equal(first, griffin_lim(asked, MEL, iterations=3, seed=5))
    assert torch.equal(torch.get_rng_state(), state), "the global random state stays as it was"


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4])
def test_a_few_frames_are_enough(frames: int) -> None:
    wave = griffin_lim(torch.zeros(80, frames), MEL, iterations=2)
    assert wave.shape == (frames * MEL.hop,)
    assert bool(torch.isfinite(wave).all())
