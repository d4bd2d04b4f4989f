"""The vocoder that comes along: small, nearer to the mel than Griffin-Lim, in pieces as whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from amtts_core.audio.io import read_audio
from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.contract.vocoder import Vocoder
from amtts_core.contract.vocoder_registry import open_vocoder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHIPPED = EXAMPLES / "vocoders" / "am-22k"
MEL = MelConfig()


@pytest.fixture(scope="module")
def vocoder() -> Vocoder:
    return open_vocoder(str(SHIPPED), mel=MEL.format, maker="this voice")


@pytest.fixture(scope="module")
def mel() -> Tensor:
    wave = torch.from_numpy(
        read_audio(EXAMPLES / "corpus" / "audio" / "391.ogg", sample_rate=MEL.sample_rate)
    )
    return log_mel(wave[None, : len(wave) // MEL.hop * MEL.hop], MEL)[0]


def test_it_is_small_and_has_a_license(vocoder: Vocoder) -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 4e6
    assert "Apache-2.0" in vocoder.license


def test_a_copy_has_the_mel_of_the_recording(vocoder: Vocoder, mel: Tensor) -> None:
    plain = open_vocoder("griffin-lim", mel=MEL.format, maker="this voice")
    errors = [float((log_mel(v.vocode(mel)[None], MEL)[0] - mel).abs().mean()) for v in (vocoder, plain)]
    assert errors[0] < 0.08
    assert errors[0] < 0.5 * errors[1]


def test_pieces_join_to_the_whole(vocoder: Vocoder, mel: Tensor) -> None:
    pieces = list(vocoder.stream(mel.split(20, dim=1)))
    assert len(pieces) > 2
    torch.testing.assert_close(torch.cat(pieces), vocoder.vocode(mel), rtol=0, atol=1e-5)
