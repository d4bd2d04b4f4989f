"""The codecs that come along: speech goes in and the same speech comes out, under a license of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from amtts_core.audio.io import read_audio
from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.codec_registry import open_codec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHIPPED = {"mel-codes-am": "mel-codes", "tiny-dac-16k": "dac"}
MEL = MelConfig(sample_rate=16000)


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    path = sorted((EXAMPLES / "corpus" / "audio").iterdir())[3]
    return torch.from_numpy(read_audio(path, sample_rate=16000))[None]


def opened(folder: str, **options: str) -> SpeechCodec:
    return open_codec(SHIPPED[folder], EXAMPLES / "codecs" / folder, **options)


@pytest.mark.parametrize("folder", SHIPPED)
def test_speech_comes_out_as_it_went_in(folder: str, speech: torch.Tensor) -> None:
    codec = opened(folder)
    codes = codec.encode(speech)
    assert codes.unique().numel() > 50
    told = [log_mel(wave, MEL)[0] for wave in (speech, codec.decode(codes), codec.decode(codes.flip(-1)))]
    length = min(mel.shape[-1] for mel in told)
    recorded, rebuilt, wrong = (mel[:, :length] for mel in told)
    near, far = (float((recorded - other).abs().mean()) for other in (rebuilt, wrong))
    assert near < 0.7, f"{near:.2f} nats a band from the recording"
    assert far > 2 * near, "codes in the wrong order sound otherwise"
    size = sum(path.stat().st_size for path in (EXAMPLES / "codecs" / folder).iterdir())
    assert size < 5_000_000


def test_bf16_codes_of_a_trained_codec_are_mostly_those_of_fp32(speech: torch.Tensor) -> None:
    exact, low = (
        opened("tiny-dac-16k", precision=precision).encode(speech) for precision in ("fp32", "bf16")
    )
    same = (exact == low).float().mean(dim=(0, 2))
    assert float(same.min()) > 0.8, same.tolist()
    assert float(same[0]) > 0.95, same.tolist()
