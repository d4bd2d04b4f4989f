"""Speech that ran on or fell silent is noticed by its sound, spoken again, and told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_codecs import write_pth
from tiny_voice import fidel_tokenizer, overfit, tiny_config, tiny_examples

import amtts_indextts2.speaking as module
from amtts_core.contract.types import SynthesisRequest
from amtts_indextts2.backend import IndexTTS2Backend
from amtts_indextts2.guards import Take, longest_silence
from amtts_indextts2.speaking import RETRIES
from amtts_indextts2.streams import Decoded, Prompt, Stream

RATE = 16000


def tone(seconds: float, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(np.arange(round(seconds * RATE)) * 0.2)).astype(np.float32)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([tone(1.0)], 0.0),
        ([tone(0.5), tone(0.4, 0), tone(0.5)], 0.4),
        ([tone(0.5), tone(2.0, 1e-4), tone(0.5)], 2.0),  # 60 dB below
        ([tone(0.5), tone(0.3, 0), tone(0.5), tone(1.5, 0)], 1.5),
        ([tone(0.5, 0.03), tone(2.0, 0.01), tone(0.5, 0.03)], 0.0),  # soft, not silent
    ],
)
def test_the_longest_silence_is_measured(parts: list[np.ndarray], expected: float) -> None:
    assert longest_silence(np.concatenate(parts), RATE) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("wave", [np.zeros(0, np.float32), tone(0.3, 0), tone(3.0, 1e-4)])
def test_nothing_to_hear_is_silence_without_end(wave: np.ndarray) -> None:
    assert longest_silence(wave, RATE) == float("inf")


def test_an_end_counts_before_silence() -> None:
    codes = torch.zeros(5, 1, dtype=torch.int64)
    silent, whole = np.concatenate([tone(0.5), tone(2.0, 0)]), tone(1.0)
    takes = [
        Take(Decoded(codes, ended=ended), wave, RATE) for ended in (True, False) for wave in (whole, silent)
    ]
    assert [take.fault for take in takes[:2]] == ["", "falls silent for 2.0 s"]
    assert all(take.fault == "ran on and was cut at 5 frames" for take in takes[2:])
    assert sorted(takes, key=lambda take: take.badness) == takes


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
    assert "came right at try 2" in caplog.text


def test_silence_that_stays_is_told(
    backend: IndexTTS2Backend, mute: Callable[[int], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    heard = mute(99)
    backend.synthesize([REQUEST])
    assert len(heard) == RETRIES + 1
    assert "is silent from beginning to end" in caplog.text
    assert "came right" not in caplog.text


def test_a_stream_that_went_wrong_is_told(
    backend: IndexTTS2Backend, mute: Callable[[int], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    mute(99)
    assert len(np.concatenate(list(backend.stream(REQUEST)))) > 0
    assert "is silent from beginning to end; what is streamed is not retried" in caplog.text


@pytest.mark.parametrize(("last", "ended"), [(9, True), (4, False)])
def test_a_single_stream_may_end_after_its_last_frame(last: int, ended: bool) -> None:
    spoken = Stream(Prompt(prefix=torch.zeros(1, 4), text=torch.tensor([5]), max_frames=3), stop=9)
    for row, code in enumerate((1, 2, 3, last)):
        assert not spoken.over
        spoken.take(row, code)
    assert spoken.over
    assert spoken.decoded().ended is ended
    assert spoken.decoded().codes[:, 0].tolist() == [1, 2, 3]


def test_a_stream_that_ends_at_its_limit_is_not_told_as_cut(
    backend: IndexTTS2Backend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FREE", (1.0, 1.0))  # as long as estimated, where its end is certain
    list(backend.stream(REQUEST))
    assert "cut" not in caplog.text
    bias = backend.network.speech.head.bias.view(3, 17)
    with torch.no_grad():
        bias[0, 16] = -1e4
    try:
        list(backend.stream(REQUEST))
    finally:
        with torch.no_grad():
            bias[0, 16] = 1e4
    assert "ran on and was cut" in caplog.text
