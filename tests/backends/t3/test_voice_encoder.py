"""The voice encoder and the log-mel front ends, beyond the stored numbers: windows, silence, files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from amtts_chatterbox.front_ends import s3_log_mel, s3gen_mel_24k, voice_mel
from amtts_chatterbox.voice_encoder import (
    STEP,
    WINDOW,
    VoiceEncoder,
    load_voice_encoder,
    trim_silence,
    windows_of,
)
from amtts_core.errors import AmttsError, CheckpointError


def tone(seconds: float, *, rate: int = 16000, hertz: float = 220.0) -> torch.Tensor:
    time = torch.arange(round(seconds * rate)) / rate
    return 0.4 * torch.sin(2 * math.pi * hertz * time)


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    torch.manual_seed(0)
    return VoiceEncoder(hidden=24, size=16).eval()


@pytest.mark.parametrize("frames", [1, 100, 127, 128, 160, 200, 237, 300, 365, 500])
def test_windows_are_those_of_the_definition(frames: int) -> None:
    """As many windows as fit; one more, padded, where it is at least 80 % full; one always."""
    assert STEP == 77
    mel = torch.rand(frames, 5)
    found = windows_of(mel)
    starts = [s for s in range(0, frames, STEP) if s + WINDOW <= frames]
    further = len(starts) * STEP
    if not starts or (frames - further) / WINDOW >= 0.8:
        starts.append(further)
    assert len(found) == len(starts)
    for window, start in zip(found, starts, strict=True):
        own = mel[start : start + WINDOW]
        assert torch.equal(window[: len(own)], own)
        assert not bool(window[len(own) :].any())


def test_a_vector_has_unit_length_and_no_negative_channel(encoder: VoiceEncoder) -> None:
    for seconds in (0.05, 1.0, 6.3):
        vector = encoder.embed(tone(seconds))
        assert vector.shape == (16,)
        assert float(vector.norm()) == pytest.approx(1, abs=1e-5)
        assert float(vector.min()) >= 0


def test_silence_at_the_ends_does_not_matter(encoder: VoiceEncoder) -> None:
    speech = tone(2.0) * torch.linspace(1, 0.5, 32000)
    padded = torch.cat([torch.zeros(512 * 20), speech, torch.zeros(512 * 20)])
    assert len(speech) <= len(trim_silence(padded, top_db=20)) <= len(speech) + 3 * 2048
    assert len(trim_silence(speech, top_db=20)) == len(speech)
    # What remains at the edges is part of a frame that is loud enough.
    assert float(encoder.embed(padded) @ encoder.embed(speech)) > 0.99


def test_no_sound_is_told(encoder: VoiceEncoder) -> None:
    for wave in (torch.zeros(0), torch.zeros(16000)):
        with pytest.raises(AmttsError, match="sound"):
            encoder.embed(wave)


def test_its_files_are_read_strictly(encoder: VoiceEncoder, tmp_path: Path) -> None:
    state = encoder.state_dict()
    save_file(state, tmp_path / "ve.safetensors")
    torch.save(state, tmp_path / "ve.pt")
    for name in ("ve.safetensors", "ve.pt"):
        again = load_voice_encoder(tmp_path / name)
        assert torch.equal(again.embed(tone(1.0)), encoder.embed(tone(1.0)))
    save_file({k: v for k, v in state.items() if k != "lstm.bias_hh_l1"}, tmp_path / "ve.safetensors")
    with pytest.raises(CheckpointError, match="lstm.bias_hh_l1"):
        load_voice_encoder(tmp_path / "ve.safetensors")
    save_file({"text_emb.weight": torch.zeros(2, 2)}, tmp_path / "ve.safetensors")
    with pytest.raises(CheckpointError, match="no voice encoder"):
        load_voice_encoder(tmp_path / "ve.safetensors")


@pytest.mark.parametrize("samples", [1, 150, 399, 16000])
def test_front_ends_have_the_published_frames(samples: int) -> None:
    wave = tone(2.0)[None, :samples]
    assert voice_mel(wave).shape == (1, 40, 1 + samples // 160)
    assert bool(torch.isfinite(voice_mel(wave)).all())
    if samples >= 160:
        loudness = s3_log_mel(wave)
        assert loudness.shape == (1, 128, samples // 160)
        assert float(loudness.max() - loudness.min()) <= 2.0001
    assert s3gen_mel_24k(wave).shape[1] == 80


def test_an_item_of_a_batch_is_normalised_by_itself() -> None:
    waves = torch.stack([tone(1.0), 0.01 * tone(1.0, hertz=500)])
    together = s3_log_mel(waves)
    np.testing.assert_allclose(together[1], s3_log_mel(waves[1:])[0], atol=1e-5)
