"""Guessing rows in 8 bits changes the speed and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_gpt import ENTRIES, Clip, clips, memorise, prefix, tiny_gpt
from torch import Tensor

from amtts_indextts2 import decoding
from amtts_indextts2.config import PRESETS, IndexTTS2Config
from amtts_indextts2.decoder import Decoder
from amtts_indextts2.decoding import decode, drafting_pays, stream
from amtts_indextts2.network import IndexTTS2Gpt, TextIds
from amtts_indextts2.sampling import SamplingConfig
from amtts_indextts2.streams import Prompt

SEMANTIC = {"kind": "semantic", "num_codes": ENTRIES + 2, "start": ENTRIES, "stop": ENTRIES + 1}
SETTINGS = [
    {"temperature": 0},
    {"temperature": 0.7},
    {"temperature": 1.5, "top_k": 9},
    {"temperature": 1.0, "top_p": 0.8, "min_p": 0.05},
    {"temperature": 1.2, "guidance": 2.0},
]


@pytest.fixture(scope="module", params=["dac", "semantic"])
def network(request: pytest.FixtureRequest) -> IndexTTS2Gpt:
    """Half-trained, so that codes are neither certain nor chance."""
    head = {"head": SEMANTIC} if request.param == "semantic" else {}
    network = tiny_gpt(**head)
    memorise(network, clips(3, books=1) if head else clips(3), steps=25)
    return network


def prompt(network: IndexTTS2Gpt, clip: Clip, **changes: Any) -> Prompt:
    return Prompt(
        prefix=prefix(network, 1).detach()[0],
        text=clip.text,
        **{"max_frames": 30, "min_frames": 12} | changes,
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each kind of pass ran, and how many rows were checked."""
    found = {"draft": 0, "exact": 0, "checks": 0, "checked": 0}
    step, check = Decoder.step, Decoder.check

    def stepped(self: Decoder, rows: Tensor, *, draft: bool = False) -> Tensor:
        found["draft" if draft else "exact"] += 1
        return step(self, rows, draft=draft)

    def checked(self: Decoder, rows: Tensor) -> Tensor:
        found["checks"], found["checked"] = found["checks"] + 1, found["checked"] + rows.shape[1]
        return check(self, rows)

    monkeypatch.setattr(Decoder, "step", stepped)
    monkeypatch.setattr(Decoder, "check", checked)
    return found


@pytest.mark.parametrize("settings", SETTINGS)
def test_guesses_change_no_code(network: IndexTTS2Gpt, settings: dict[str, Any]) -> None:
    sampling = SamplingConfig.model_validate(settings)
    spoken = set()
    for seed in range(12):
        for clip in clips(3):
            asked = prompt(network, clip, seed=seed, max_frames=13 + seed)
            plain = decode(network, [asked], sampling=sampling)[0]
            guessed = decode(network, [asked], sampling=sampling, draft=True)[0]
            assert torch.equal(plain.codes, guessed.codes)
            assert plain.ended == guessed.ended
            spoken.add((len(plain.codes), tuple(plain.codes[:, 0].tolist())))
    assert len(spoken) > 2, "the sentences differ"


def test_a_stream_with_guesses_is_the_same(network: IndexTTS2Gpt) -> None:
    sampling = SamplingConfig(temperature=0.8)
    for clip in clips(2):
        asked = prompt(network, clip, seed=3)
        pieces = list(stream(network, asked, every=3, sampling=sampling, draft=True))
        assert torch.equal(torch.cat(pieces), decode(network, [asked], sampling=sampling)[0].codes)
        assert all(len(piece) >= 3 for piece in pieces[:-1])


def test_guesses_that_are_right_save_passes(network: IndexTTS2Gpt, counted: dict[str, int]) -> None:
    spoken = decode(network, [prompt(network, clips(1)[0], min_frames=24)], draft=True)[0]
    assert len(spoken.codes) >= 24
    assert counted["exact"] == 0
    assert counted["checks"] < 0.6 * len(spoken.codes)


def test_guesses_that_are_wrong_rest_and_change_nothing(
    network: IndexTTS2Gpt, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = prompt(network, clips(1)[0], min_frames=29, seed=5)
    sampling = SamplingConfig(temperature=0.9)
    plain = decode(network, [asked], sampling=sampling)[0]
    honest = decoding._Decoding.guesses

    def wrong(self: Any, voice: Any) -> list[Any]:
        found = honest(self, voice)
        return [(guess + 1) % ENTRIES if isinstance(guess, int) else guess[::-1] for guess in found]

    monkeypatch.setattr(decoding._Decoding, "guesses", wrong)
    monkeypatch.setattr(decoding, "PATIENCE", 2)
    counted["exact"] = 0
    assert torch.equal(decode(network, [asked], sampling=sampling, draft=True)[0].codes, plain.codes)
    assert counted["exact"] > 10, "after a few wrong guesses there are none for a while"


def test_only_one_exact_sentence_without_guidance_is_guessed(
    network: IndexTTS2Gpt, counted: dict[str, int]
) -> None:
    asked = [prompt(network, clip) for clip in clips(2)]
    decode(network, asked, draft=True)
    decode(network, asked[:1], draft=True, int8=True)
    decode(network, asked[:1], draft=True, dtype=torch.bfloat16)
    decode(network, asked[:1], draft=True, sampling=SamplingConfig(guidance=1.5))
    assert counted["draft"] == counted["checks"] == 0
    decode(network, asked[:1], draft=True)
    assert counted["checks"] > 0


def test_guesses_pay_for_large_networks() -> None:
    sizes = {}
    for name in ("base", "small", "tiny"):
        with torch.device("meta"):
            sizes[name] = drafting_pays(
                IndexTTS2Gpt(IndexTTS2Config.model_validate(PRESETS[name]), TextIds(50))
            )
    assert sizes == {"base": True, "small": False, "tiny": False}
