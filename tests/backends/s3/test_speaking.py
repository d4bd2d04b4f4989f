"""Codes to speech: alone, in batches, streamed; the same numbers for the same seed wherever they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_s3 import tiny_weights

from amtts_chatterbox.s3.config import S3SpeakingConfig
from amtts_chatterbox.s3.layers import attend
from amtts_chatterbox.s3.noise import frame_noise, source_noise
from amtts_chatterbox.s3.reference_voice import ReferenceVoice, embed_reference
from amtts_chatterbox.s3.speaking import S3Speech, Spoken
from amtts_chatterbox.s3.streaming import VocoderStream, chunks, stream_speech
from amtts_chatterbox.s3.tokenizer import CODES
from amtts_chatterbox.s3.weights import S3Network, network_of
from amtts_core.errors import AmttsError


@pytest.fixture(scope="module")
def network() -> S3Network:
    return network_of(tiny_weights())


@pytest.fixture(scope="module")
def voice(network: S3Network) -> ReferenceVoice:
    time = torch.arange(24000 * 2) / 24000
    return embed_reference(network, torch.sin(2 * torch.pi * 150 * time) * 0.3)


def codes(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(CODES, (count,), generator=torch.Generator().manual_seed(seed))


def test_speech_has_forty_milliseconds_a_code_and_begins_softly(
    network: S3Network, voice: ReferenceVoice
) -> None:
    (wave,) = S3Speech(network).speak([Spoken(codes(7), voice)])
    assert len(wave) == 7 * 960
    assert float(wave[:480].abs().max()) == 0
    assert float(wave.abs().max()) > 0.01


def test_an_utterance_sounds_as_it_does_alone(
    network: S3Network, voice: ReferenceVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [Spoken(codes(n, n), voice, seed=n) for n in (9, 4, 15)]
    alone = [S3Speech(network).speak([one])[0] for one in several]
    speech = S3Speech(network)
    monkeypatch.setattr(speech, "_groups", lambda utterances: iter([[0, 1, 2]]))  # as an accelerator has them
    mels = speech.mels(several)
    for one, mel in zip(several, mels, strict=True):
        (other,) = speech.mels([one])
        assert mel.shape == other.shape
        assert torch.allclose(mel, other, atol=1e-4)
    for wave, own in zip(speech.speak(several), alone, strict=True):
        assert wave.shape == own.shape
        assert float((wave - own).abs().mean()) < 1e-3


def test_the_same_seed_is_the_same_speech(network: S3Network, voice: ReferenceVoice) -> None:
    speech = S3Speech(network)
    first, second, other = (speech.speak([Spoken(codes(5), voice, seed=seed)])[0] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_noise_belongs_to_frames() -> None:
    whole = frame_noise(5, "mel", first=0, count=200, width=80)
    assert torch.equal(frame_noise(5, "mel", first=63, count=90, width=80), whole[63:153])
    assert not torch.equal(frame_noise(6, "mel", first=0, count=3, width=80), whole[:3])
    assert abs(float(whole.std()) - 1) < 0.05
    source = source_noise(5, first=0, count=10)
    assert torch.equal(source_noise(5, first=4, count=3), source[:, 4 * 480 : 7 * 480])


def test_a_growing_mel_has_the_waveform_of_the_whole(network: S3Network) -> None:
    speech = S3Speech(network)
    mel = torch.randn(80, 150, generator=torch.Generator().manual_seed(4)) * 2 - 1
    with torch.inference_mode():
        whole = speech.vocode(mel, 3)
        stream, edges = VocoderStream(speech, 3), [0, 25, 31, 90, 150]
        parts = [stream.add(mel[:, a:b], last=b == 150) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    joined = torch.cat(parts)
    assert joined.shape == whole.shape
    assert float((joined - whole).abs().max()) < 2e-3  # rounding of the pitch, turned into phase


def test_one_chunk_is_what_is_spoken_at_once(network: S3Network, voice: ReferenceVoice) -> None:
    given = codes(20)
    (wave,) = S3Speech(network).speak([Spoken(given, voice, seed=5)])
    pieces = [given.tolist()[:7], given.tolist()[7:]]
    streamed = np.concatenate(list(stream_speech(S3Speech(network), pieces, voice, seed=5)))
    assert np.array_equal(streamed, wave.numpy())


def test_a_stream_is_whole_and_does_not_click(network: S3Network, voice: ReferenceVoice) -> None:
    given = codes(170).tolist()
    pieces = list(stream_speech(S3Speech(network), (given[i : i + 9] for i in range(0, 170, 9)), voice))
    assert len(pieces) > 2
    joined = np.concatenate(pieces)
    assert len(joined) == 170 * 960
    assert np.isfinite(joined).all()
    steps, edge = np.abs(np.diff(joined)), 0
    usual = np.percentile(steps, 99.9)
    for piece in pieces[:-1]:
        edge += len(piece)
        assert steps[edge - 3 : edge + 3].max() <= max(usual, steps.max() * 0.8)


@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 28, 29, 100, 401])
def test_chunks_hold_every_code_and_end_with_one(count: int) -> None:
    found = list(chunks([n] for n in range(count)))
    assert [code for part, _ in found for code in part] == list(range(count))
    assert [last for _, last in found] == [False] * (len(found) - 1) + [True]
    assert len(found) == 1 or found[-1][0]


@pytest.mark.parametrize(
    "bad", [torch.tensor([CODES]), torch.tensor([-1]), torch.zeros(0, dtype=torch.long), torch.tensor([0.5])]
)
def test_what_is_no_code_is_refused(network: S3Network, voice: ReferenceVoice, bad: torch.Tensor) -> None:
    with pytest.raises(AmttsError):
        S3Speech(network).speak([Spoken(bad, voice)])


def test_low_precision_is_near_and_leaves_the_weights_alone(
    network: S3Network, voice: ReferenceVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amtts_chatterbox.s3.speaking.bf16_pays", lambda device: True)
    one = [Spoken(codes(12), voice)]
    (exact,) = S3Speech(network).mels(one)
    (low,) = S3Speech(network, S3SpeakingConfig(bf16=True)).mels(one)
    assert 0 < float((exact - low).square().mean().sqrt()) < 0.02 * max(1.0, float(exact.std()))
    (again,) = S3Speech(network).mels(one)
    assert torch.equal(exact, again)
    assert network.flow.estimator.final_proj.weight.dtype == torch.float32
    assert not any("_low" in name for name in network.state_dict())


@pytest.mark.parametrize("scale", [1.0, 12.0, 300.0])
@pytest.mark.parametrize("frames", [5, 70, 129])
def test_attention_by_heads_is_attention(scale: float, frames: int) -> None:
    generator = torch.Generator().manual_seed(frames)
    parts = [torch.randn(2, 3, frames, 16, generator=generator) for _ in range(3)]
    parts[0] = parts[0] * scale
    bias = torch.randn(2, 3, frames, frames, generator=generator)
    bias[..., -2:] = -torch.inf
    for added in (None, bias, bias[:, :1, :1]):
        expected = torch.nn.functional.scaled_dot_product_attention(*parts, attn_mask=added)
        with torch.inference_mode():
            found = attend(*parts, added)
        assert torch.allclose(found, expected.transpose(1, 2).flatten(2), atol=2e-5)


def test_low_precision_is_not_taken_where_it_costs_time(
    network: S3Network, voice: ReferenceVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amtts_chatterbox.s3.speaking.bf16_pays", lambda device: False)
    one = [Spoken(codes(6), voice)]
    (exact,), (asked,) = (S3Speech(network, S3SpeakingConfig(bf16=low)).mels(one) for low in (False, True))
    assert torch.equal(exact, asked)
