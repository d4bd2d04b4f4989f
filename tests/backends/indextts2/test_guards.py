"""Speech that ran on or fell silent is noticed by its sound, spoken again, and told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_codecs import write_pth
from tiny_voice import fidel_tokenizer, overfit, tiny_config, tiny_examples

import amtts_indextts2.inference as module
from amtts_core.contract.types import SynthesisRequest
from amtts_indextts2.backend import IndexTTS2Backend

RATE = 16000


def tone(seconds: float, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(np.arange(round(seconds * RATE)) * 0.2)).astype(np.float32)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> IndexTTS2Backend:
    path = tmp_path_factory.mktemp("codec") / "dac.pth"
    write_pth(path)
    head = {"kind": "dac", "num_codebooks": 3, "cardinality": 16}
    config, kind = tiny_config("indextts2", model={"codec": "dac", "codec_weights": str(path), "head": head})
    torch.manual_seed(0)
    backend = kind(config.model_config_of(kind.spec), tokenizer=fidel_tokenizer())
    assert isinstance(backend, IndexTTS2Backend)
    overfit(backend, tiny_examples(backend, 2), 1)
    with torch.no_grad():
        backend.network.speech.head.bias.view(3, 17)[0, 16] = 1e4  # ends as soon as it may
    return backend


@pytest.fixture
def mute(backend: IndexTTS2Backend, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Makes the codec silent for its first calls; the list it hands out counts them."""
    codec = backend.speech_codec()
    heard: list[int] = []

    def first(calls: int) -> list[int]:
        decode = type(codec).decode

        def decoded(codes: torch.Tensor) -> torch.Tensor:
            heard.append(codes.shape[-1])
            wave = decode(codec, codes)
            return torch.zeros_like(wave) if len(heard) <= calls else wave + torch.from_numpy(tone(1))[:1]

        monkeypatch.setattr(codec, "decode", decoded)
        return heard

    return first


REQUEST = SynthesisRequest(tokens=fidel_tokenizer().encode("ለመሰረ።"))


def test_a_silent_take_is_spoken_again(
    backend: IndexTTS2Backend, mute: Callable[[int], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    heard = mute(1)
    wave = backend.synthesize([REQUEST])[0]
    assert np.abs(wave).max() > 0
    assert len(heard) == 2
    assert "succeeded on attempt 2" in caplog.text


def test_silence_that_stays_is_told(
    backend: IndexTTS2Backend, mute: Callable[[int], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    heard = mute(99)
    backend.synthesize([REQUEST])
    assert len(heard) == backend.config.sampling.retries + 1
    assert "silent from beginning to end" in caplog.text
    assert "succeeded" not in caplog.text


def test_a_stream_that_went_wrong_is_told(
    backend: IndexTTS2Backend, mute: Callable[[int], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    mute(99)
    assert len(np.concatenate(list(backend.stream(REQUEST)))) > 0
    assert "silent from beginning to end; what is streamed is not retried" in caplog.text


def test_a_stream_that_ends_at_its_limit_is_not_told_as_cut(
    backend: IndexTTS2Backend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FREE", (1.0, 1.0))  # as long as estimated, where its end is certain
    list(backend.stream(REQUEST))
    assert "truncated" not in caplog.text
    bias = backend.network.speech.head.bias.view(3, 17)
    with torch.no_grad():
        bias[0, 16] = -1e4
    try:
        list(backend.stream(REQUEST))
    finally:
        with torch.no_grad():
            bias[0, 16] = 1e4
    assert "no end-of-speech token, truncated" in caplog.text
