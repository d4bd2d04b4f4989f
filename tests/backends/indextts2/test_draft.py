"""Guessing steps in 8 bits changes the speed and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_gpt import ENTRIES, SEMANTIC, Clip, clips, memorize, prompt, tiny_gpt
from torch import Tensor

from amtts_core.speech_lm import generate as runtime
from amtts_core.speech_lm import tuning
from amtts_core.speech_lm.generate import Decoding, generate, generate_stream
from amtts_core.speech_lm.sampling import SamplingConfig
from amtts_core.speech_lm.step_model import StepModel
from amtts_core.speech_lm.streams import Decoded
from amtts_indextts2.network import IndexTTS2Gpt

SETTINGS = [
    {"temperature": 0},
    {"temperature": 0.7},
    {"temperature": 1.5, "top_k": 9},
    {"temperature": 1.0, "top_p": 0.8, "min_p": 0.05},
    {"temperature": 1.2, "guidance_scale": 2.0},
]


@pytest.fixture(autouse=True)
def _ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tuning.VARIABLE, "draft=2")


@pytest.fixture(scope="module", params=["dac", "semantic"])
def network(request: pytest.FixtureRequest) -> IndexTTS2Gpt:
    """Half-trained, so that codes are neither certain nor random."""
    head = {"head": SEMANTIC} if request.param == "semantic" else {}
    network = tiny_gpt(**head)
    memorize(network, clips(3, codebooks=1) if head else clips(3), steps=25)
    return network


def spoken(
    network: IndexTTS2Gpt, clip: Clip, *, draft: bool = False, sampling: Any = None, **changes: Any
) -> Decoded:
    decoding = Decoding(sampling=SamplingConfig.model_validate(sampling or {"temperature": 0}), draft=draft)
    asked = prompt(network, clip, **{"max_frames": 30, "min_frames": 12} | changes)
    return generate(network, [asked], decoding)[0]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each kind of pass ran, and how many steps were checked."""
    found = {"draft": 0, "exact": 0, "checks": 0, "checked": 0}
    step, check = StepModel.step, StepModel.check

    def stepped(self: StepModel, embeds: Tensor, *, draft: bool = False) -> Tensor:
        found["draft" if draft else "exact"] += 1
        return step(self, embeds, draft=draft)

    def checked(self: StepModel, embeds: Tensor) -> Tensor:
        found["checks"], found["checked"] = found["checks"] + 1, found["checked"] + embeds.shape[1]
        return check(self, embeds)

    monkeypatch.setattr(StepModel, "step", stepped)
    monkeypatch.setattr(StepModel, "check", checked)
    return found


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("ahead", [2, 5])
def test_guesses_change_no_code(
    network: IndexTTS2Gpt, settings: dict[str, Any], ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tuning.VARIABLE, f"draft={ahead}")
    seen = set()
    for seed in range(8):
        for clip in clips(3):
            options: dict[str, Any] = {"sampling": settings, "seed": seed, "max_frames": 13 + seed}
            plain, drafted = (spoken(network, clip, draft=draft, **options) for draft in (False, True))
            assert torch.equal(plain.codes, drafted.codes)
            assert plain.ended == drafted.ended
            seen.add((len(plain.codes), tuple(plain.codes[:, 0].tolist())))
    assert len(seen) > 2, "the sentences differ"


def test_a_stream_with_guesses_is_the_same(network: IndexTTS2Gpt) -> None:
    decoding = Decoding(sampling=SamplingConfig(temperature=0.8), draft=True)
    for clip in clips(2):
        asked = prompt(network, clip, seed=3, max_frames=30, min_frames=12)
        pieces = list(generate_stream(network, asked, decoding, every=3))
        assert torch.equal(torch.cat(pieces), generate(network, [asked], decoding)[0].codes)
        assert all(len(piece) >= 3 for piece in pieces[:-1])


def test_guesses_that_are_right_save_passes(network: IndexTTS2Gpt, counted: dict[str, int]) -> None:
    found = spoken(network, clips(1)[0], draft=True, min_frames=24)
    assert len(found.codes) >= 24
    assert counted["exact"] == 0
    assert counted["checks"] < 0.6 * len(found.codes)


def test_guesses_that_are_wrong_rest_and_change_nothing(
    network: IndexTTS2Gpt, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"min_frames": 29, "seed": 5, "sampling": {"temperature": 0.9}}
    plain = spoken(network, clips(1)[0], **options)
    honest = runtime._Generation._guesses

    def wrong(self: Any, stream: Any) -> list[list[int]]:
        return [[(code + 1) % ENTRIES for code in guess] for guess in honest(self, stream)]

    monkeypatch.setattr(runtime._Generation, "_guesses", wrong)
    monkeypatch.setattr(runtime, "PATIENCE", 2)
    counted["exact"] = 0
    assert torch.equal(spoken(network, clips(1)[0], draft=True, **options).codes, plain.codes)
    assert counted["exact"] > 10, "after a few wrong guesses there are none for a while"


def test_only_one_exact_sentence_is_guessed(network: IndexTTS2Gpt, counted: dict[str, int]) -> None:
    asked = [prompt(network, clip) for clip in clips(2)]
    generate(network, asked, Decoding(draft=True))
    generate(network, asked[:1], Decoding(draft=True, precision="int8"))
    generate(network, asked[:1], Decoding(draft=True, precision="bf16"))
    generate(network, asked[:1], Decoding())
    assert counted["draft"] == counted["checks"] == 0
    generate(network, asked[:1], Decoding(draft=True))
    assert counted["checks"] > 0
