"""DAC codes in the delay pattern: exact packing, losses, and decoding what was memorized."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_gpt import (
    CODEBOOKS,
    ENTRIES,
    SEMANTIC,
    Clip,
    clips,
    inputs_of,
    losses,
    memorize,
    prefix,
    prompt,
    tiny_gpt,
)
from torch import Tensor

from amtts_core.errors import AmttsError, ConfigError
from amtts_core.speech_lm.generate import Decoding, Prompt, generate, generate_stream
from amtts_core.speech_lm.runtime import open_step_model
from amtts_core.speech_lm.sampling import SamplingConfig
from amtts_indextts2.config import DelayedHeadConfig, SemanticHeadConfig
from amtts_indextts2.network import IndexTTS2Gpt


@pytest.fixture(scope="module")
def known() -> tuple[IndexTTS2Gpt, list[Clip]]:
    network, batch = tiny_gpt(), clips(4)
    history = memorize(network, batch)
    assert history[-1] < 0.1
    return network, batch


def prompts(network: IndexTTS2Gpt, batch: list[Clip], **changes: int) -> list[Prompt]:
    return [prompt(network, clip, **changes) for clip in batch]


def test_configurations_that_cannot_be_are_refused() -> None:
    for wrong in ({"delays": (0, 1)}, {"delays": (1, 2, 3)}, {"weights": (1, 0, 1)}):
        with pytest.raises((ValueError, ConfigError)):
            DelayedHeadConfig.model_validate({"num_codebooks": 3, **wrong})


def test_codebooks_have_their_weights() -> None:
    assert DelayedHeadConfig(num_codebooks=3).all_weights == (4, 1, 1)
    assert DelayedHeadConfig(num_codebooks=3, weights=(1, 1, 2)).all_weights == (1, 1, 2)
    assert SemanticHeadConfig().all_weights == (1,)


def test_losses_start_at_chance_and_batches_are_means_of_their_tokens() -> None:
    network, batch = tiny_gpt(), clips(3)
    with torch.no_grad():
        text, codes = losses(network, batch)
        alone = [losses(network, [clip]) for clip in batch]
    assert codes.means.tolist() == pytest.approx([math.log(ENTRIES + 1)] * CODEBOOKS, rel=0.1)
    frames = sum(len(clip.codes) for clip in batch)
    assert codes.count.tolist() == [frames + len(batch), frames, frames], "codebook 0 has the end too"
    assert text.count.tolist() == [sum(len(clip.text) + 1 for clip in batch)]
    for together, parts in ((codes, [c for _, c in alone]), (text, [t for t, _ in alone])):
        torch.testing.assert_close(
            together.total, torch.stack([p.total for p in parts]).sum(0), rtol=1e-5, atol=0
        )


def test_what_was_memorized_is_spoken_and_ended(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    for clip, asked in zip(batch, prompts(network, batch), strict=True):
        (spoken,) = generate(network, [asked])
        assert torch.equal(spoken.codes, clip.codes)
        assert spoken.ended


def test_a_batch_speaks_as_its_items_do(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    drawn = Decoding(sampling=SamplingConfig(temperature=1.5, top_k=9, guidance_scale=2.0))
    for decoding in (None, drawn):
        together = generate(network, prompts(network, batch), decoding)
        for asked, found in zip(prompts(network, batch), together, strict=True):
            (alone,) = generate(network, [asked], decoding)
            assert torch.equal(alone.codes, found.codes)
            assert alone.ended == found.ended


def test_a_stream_hands_over_what_is_spoken(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    drawn = Decoding(sampling=SamplingConfig(temperature=1.5, top_k=9))
    for asked in prompts(network, batch):
        for decoding in (None, drawn):
            pieces = list(generate_stream(network, asked, decoding, every=3))
            assert torch.equal(torch.cat(pieces), generate(network, [asked], decoding)[0].codes)
            assert all(len(piece) >= 3 for piece in pieces[:-1])
            assert len(pieces) > 1


def test_cached_steps_equal_the_training_pass(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    clip = batch[1]
    inputs = inputs_of(network, [clip])
    inputs.pop("targets")
    codes = inputs["inputs"]
    with torch.no_grad():
        states = network(**inputs, prefix=prefix(network, 1))
        whole = network.speech.head(states.packing.segment(states.hidden, 2, codes.shape[1]))
        begin = prompt(network, clip).embeds[None]
        model, _ = open_step_model(network, rows=1)
        logits = model.prefill(begin, torch.tensor([begin.shape[1]]), steps=64)
        for step in range(codes.shape[1]):
            torch.testing.assert_close(logits, whole[:, step], rtol=1e-4, atol=1e-4)
            if step + 1 < codes.shape[1]:
                embedded = network.speech.embed(codes[:, step + 1 : step + 2], torch.tensor([step + 1]))
                logits = model.step(embedded[:, 0])


def test_a_repetition_penalty_needs_one_codebook(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    with pytest.raises(AmttsError, match=r"repetition_penalty is 1\.5.*speaks 3.*Leave it at 1"):
        generate(network, prompts(network, batch), Decoding(sampling=SamplingConfig(repetition_penalty=1.5)))


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_the_longest_length_ends_the_speech(known: tuple[IndexTTS2Gpt, list[Clip]], frames: int) -> None:
    network, batch = known
    found = generate(network, prompts(network, batch, max_frames=frames))
    for clip, item in zip(batch, found, strict=True):
        expected = min(frames, len(clip.codes))
        assert item.codes.shape == (expected, CODEBOOKS)
        assert item.ended == (frames >= len(clip.codes) + (frames == len(clip.codes)))
        assert int(item.codes.max()) < ENTRIES
        assert torch.equal(item.codes[:, 0], clip.codes[:expected, 0])


def test_the_shortest_length_is_kept(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    for item in generate(network, prompts(network, batch, min_frames=25)):
        assert 25 <= len(item.codes) <= 40
        assert int(item.codes.max()) < ENTRIES, "no end and no padding among the codes"


def test_seeds_decide_draws(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    hot = SamplingConfig(temperature=3.0)

    def speak(seed: int) -> Tensor:
        return generate(
            network, prompts(network, batch[:1], seed=seed, min_frames=20), Decoding(sampling=hot)
        )[0].codes

    assert torch.equal(speak(1), speak(1))
    assert not torch.equal(speak(1), speak(2))


def test_prompts_that_do_not_fit_are_told(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    long = Clip(torch.full((21,), 3), batch[0].codes)
    with pytest.raises(AmttsError, match=r"21 tokens is longer than the network's 20"):
        generate(network, prompts(network, [long]))
    with pytest.raises(AmttsError, match=r"61 frames are out of range; expected 1 to 60"):
        generate(network, prompts(network, batch[:1], max_frames=61))


def test_the_semantic_head_memorizes_too() -> None:
    network, batch = tiny_gpt(head=SEMANTIC), clips(3, codebooks=1)
    assert memorize(network, batch)[-1] < 0.05
    together = generate(network, prompts(network, batch))
    for clip, found in zip(batch, together, strict=True):
        assert torch.equal(found.codes, clip.codes)
        assert found.ended
    short = generate(network, prompts(network, batch, max_frames=4))
    assert [len(item.codes) for item in short] == [4, 4, 4]
    assert not any(item.ended for item in short)
