"""DAC codes in the delay pattern: rows and targets, exact packing, losses, and decoding what was memorised."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_gpt import BOOKS, ENTRIES, Clip, clips, losses, memorise, prefix, tiny_gpt
from torch import Tensor

from amtts_core.errors import AmttsError, ConfigError
from amtts_core.nn.soft_code_targets import near_targets
from amtts_indextts2.config import DelayedHeadConfig, SemanticHeadConfig
from amtts_indextts2.decoder import Decoder
from amtts_indextts2.decoding import decode, stream
from amtts_indextts2.delay import IGNORED, from_grid, to_grid
from amtts_indextts2.losses import book_losses, code_rows, weighted
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.sampling import SamplingConfig
from amtts_indextts2.streams import Prompt

LAYOUTS = [tuple(range(9)), (0, 8, 9, 10, 11, 12, 13, 14, 15), tuple(range(12)), (0,), (0, 0, 0)]


@pytest.fixture(scope="module")
def known() -> tuple[IndexTTS2Gpt, list[Clip]]:
    network, batch = tiny_gpt(), clips(4)
    history = memorise(network, batch)
    assert history[-1] < 0.1
    return network, batch


def prompts(network: IndexTTS2Gpt, batch: list[Clip], **changes: int) -> list[Prompt]:
    rows = prefix(network, len(batch)).detach()
    return [
        Prompt(prefix=row, text=clip.text, **{"max_frames": 40, **changes})  # type: ignore[arg-type]
        for row, clip in zip(rows, batch, strict=True)
    ]


# ---- the grid ----


@pytest.mark.parametrize("delays", LAYOUTS)
@pytest.mark.parametrize("frames", [1, 2, 20])
def test_a_grid_holds_every_code_once(delays: tuple[int, ...], frames: int) -> None:
    codes = torch.randint(0, 50, (frames, len(delays)))
    inputs, targets = to_grid(codes, delays, 50)
    assert inputs.shape == targets.shape == (frames + max(max(delays), 1), len(delays))
    assert torch.equal(from_grid(targets, delays, frames), codes)
    assert int((targets != IGNORED).sum()) == frames * len(delays) + 1
    assert (inputs[0] == 51).all()
    assert int(targets[frames, 0]) == 50
    told = targets[:-1] != IGNORED
    assert torch.equal(inputs[1:][told], targets[:-1][told]), "an input row is the target row before it"
    assert (inputs[frames + 1 :, 0] == 50).all(), "book 0 stays at its end"


def test_configurations_that_cannot_be_are_refused() -> None:
    for wrong in ({"delays": (0, 1)}, {"delays": (1, 2, 3)}, {"weights": (1, 0, 1)}):
        with pytest.raises((ValueError, ConfigError)):
            DelayedHeadConfig.model_validate({"num_codebooks": 3, **wrong})


# ---- losses ----


def test_losses_start_at_chance_and_batches_are_means_of_their_tokens() -> None:
    network, batch = tiny_gpt(), clips(3)
    with torch.no_grad():
        text, books = losses(network, batch)
        alone = [losses(network, [clip]) for clip in batch]
    assert books.shape == (BOOKS,)
    assert books.tolist() == pytest.approx([math.log(ENTRIES + 1)] * BOOKS, rel=0.1)
    for book in range(BOOKS):
        tokens = torch.tensor([len(clip.codes) + (book == 0) for clip in batch])
        mean = (torch.stack([b[book] for _, b in alone]) * tokens).sum() / tokens.sum()
        assert float(books[book]) == pytest.approx(float(mean), rel=1e-5)
    tokens = torch.tensor([len(clip.text) + 1 for clip in batch])
    mean = (torch.stack([t for t, _ in alone]) * tokens).sum() / tokens.sum()
    assert float(text) == pytest.approx(float(mean), rel=1e-5)


def test_books_have_their_weights() -> None:
    head = DelayedHeadConfig(num_codebooks=3, cardinality=16)
    assert float(weighted(torch.tensor([1.0, 4.0, 7.0]), head)) == pytest.approx((4 + 4 + 7) / 6)
    own = DelayedHeadConfig(num_codebooks=3, cardinality=16, weights=(1, 1, 2))
    assert float(weighted(torch.tensor([1.0, 4.0, 7.0]), own)) == pytest.approx((1 + 4 + 14) / 4)
    assert float(weighted(torch.tensor([2.5]), SemanticHeadConfig())) == 2.5


def test_ignored_cells_have_no_gradient() -> None:
    rows = code_rows(
        [torch.zeros(4, 3, dtype=torch.int64)], DelayedHeadConfig(num_codebooks=3, cardinality=16)
    )
    logits = torch.zeros(1, 6, 3, 17, requires_grad=True)
    book_losses(logits, rows.targets).sum().backward()
    assert logits.grad is not None
    told = rows.targets != IGNORED
    assert bool((logits.grad.abs().sum(-1)[told] > 0).all())
    assert bool((logits.grad.abs().sum(-1)[~told] == 0).all())


def test_shares_of_the_codes_alone_change_no_loss() -> None:
    head = DelayedHeadConfig(num_codebooks=3, cardinality=16)
    rows = code_rows([torch.randint(0, 16, (4, 3)), torch.randint(0, 16, (7, 3))], head)
    logits = torch.randn(2, rows.targets.shape[1], 3, 17)
    alone = torch.stack([near_targets(torch.randn(16, 4), 0.0, rows=17)] * 3)
    torch.testing.assert_close(book_losses(logits, rows.targets, alone), book_losses(logits, rows.targets))
    shared = alone.clone()
    shared[1] = 1 / 17
    counts = rows.targets[:, :, 1] != IGNORED
    expected = -logits[:, :, 1][counts].log_softmax(-1).mean()
    torch.testing.assert_close(book_losses(logits, rows.targets, shared)[1], expected)


def test_the_tables_of_a_book_are_its_own() -> None:
    speech = tiny_gpt().speech
    for book, (embedding, head) in enumerate(speech.book_tables()):
        with torch.no_grad():
            embedding[:ENTRIES], head[:ENTRIES] = book + 1, book + 1
    ids = torch.tensor([[[0, ENTRIES, ENTRIES]], [[ENTRIES, ENTRIES - 1, ENTRIES]]])
    with torch.no_grad():
        marks = speech.embedding.weight[[ENTRIES, 2 * ENTRIES + 2, 3 * ENTRIES + 4]]
        rows = speech.rows(ids, torch.zeros(1, dtype=torch.int64)) - speech.positions.weight[0]
        logits = speech.logits(torch.ones(48)) - speech.head.bias.view(BOOKS, -1)
    torch.testing.assert_close(rows[0, 0] - marks[1] - marks[2], torch.ones(48))
    torch.testing.assert_close(rows[1, 0] - marks[0] - marks[2], torch.full((48,), 2.0))
    torch.testing.assert_close(logits[:, :ENTRIES], torch.tensor([[48.0], [96], [144]]).expand(-1, ENTRIES))


# ---- decoding ----


def test_what_was_memorised_is_spoken_and_ended(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    for clip, prompt in zip(batch, prompts(network, batch), strict=True):
        spoken = decode(network, [prompt])[0]
        assert torch.equal(spoken.codes, clip.codes)
        assert spoken.ended


def test_a_batch_speaks_as_its_items_do(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    for sampling in (None, SamplingConfig(temperature=1.5, top_k=9, guidance=2.0)):
        together = decode(network, prompts(network, batch), sampling=sampling)
        for prompt, found in zip(prompts(network, batch), together, strict=True):
            alone = decode(network, [prompt], sampling=sampling)[0]
            assert torch.equal(alone.codes, found.codes)
            assert alone.ended == found.ended


def test_a_stream_hands_over_what_is_spoken(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    drawn = SamplingConfig(temperature=1.5, top_k=9)
    for prompt in prompts(network, batch):
        for sampling in (None, drawn):
            pieces = list(stream(network, prompt, every=3, sampling=sampling))
            assert torch.equal(torch.cat(pieces), decode(network, [prompt], sampling=sampling)[0].codes)
            assert all(len(piece) >= 3 for piece in pieces[:-1])
            assert len(pieces) > 1


def test_cached_steps_equal_the_training_pass(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    clip = batch[1]
    rows = code_rows([clip.codes], network.config.head)
    start = prefix(network, 1)
    with torch.no_grad():
        _, whole = network(start, clip.text[None], torch.tensor([len(clip.text)]), rows.inputs, rows.lengths)
        marked = network.marked_text(clip.text[None], torch.tensor([len(clip.text)]))
        first = network.speech.rows(rows.inputs[:, :1], torch.tensor([0]))
        begin = torch.cat([start, network.text.rows(marked), first], dim=1)
        decoder = Decoder(network)
        logits = decoder.prefill(begin, torch.tensor([begin.shape[1]]), steps=64)
        for row in range(rows.inputs.shape[1]):
            torch.testing.assert_close(logits.view_as(whole[:, row]), whole[:, row], rtol=1e-4, atol=1e-4)
            if row + 1 < rows.inputs.shape[1]:
                place = torch.tensor([row + 1])
                logits = decoder.step(network.speech.rows(rows.inputs[:, row + 1 : row + 2], place)[:, 0])


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_the_longest_length_ends_the_speech(known: tuple[IndexTTS2Gpt, list[Clip]], frames: int) -> None:
    network, batch = known
    found = decode(network, prompts(network, batch, max_frames=frames))
    for clip, item in zip(batch, found, strict=True):
        expected = min(frames, len(clip.codes))
        assert item.codes.shape == (expected, BOOKS)
        assert item.ended == (frames >= len(clip.codes) + (frames == len(clip.codes)))
        assert int(item.codes.max()) < ENTRIES
        assert torch.equal(item.codes[:, 0], clip.codes[:expected, 0])


def test_the_shortest_length_is_kept(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    for item in decode(network, prompts(network, batch, min_frames=25)):
        assert 25 <= len(item.codes) <= 40
        assert int(item.codes.max()) < ENTRIES, "no end and no padding among the codes"


def test_seeds_decide_draws(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    hot = SamplingConfig(temperature=3.0)

    def speak(seed: int) -> Tensor:
        return decode(network, prompts(network, batch[:1], seed=seed, min_frames=20), sampling=hot)[0].codes

    assert torch.equal(speak(1), speak(1))
    assert not torch.equal(speak(1), speak(2))


def test_prompts_that_do_not_fit_are_told(known: tuple[IndexTTS2Gpt, list[Clip]]) -> None:
    network, batch = known
    long = Clip(torch.full((21,), 3), batch[0].codes)
    with pytest.raises(AmttsError, match=r"21 tokens is longer than the network's 20"):
        decode(network, prompts(network, [long]))
    with pytest.raises(AmttsError, match=r"61 frames are out of range; expected 1 to 60"):
        decode(network, prompts(network, batch[:1], max_frames=61))


def test_the_semantic_head_memorises_too() -> None:
    head = {"kind": "semantic", "num_codes": ENTRIES + 2, "start": ENTRIES, "stop": ENTRIES + 1}
    network, batch = tiny_gpt(head=head), clips(3, books=1)
    assert memorise(network, batch)[-1] < 0.05
    together = decode(network, prompts(network, batch))
    for clip, found in zip(batch, together, strict=True):
        assert torch.equal(found.codes, clip.codes)
        assert found.ended
    short = decode(network, prompts(network, batch, max_frames=4))
    assert [len(item.codes) for item in short] == [4, 4, 4]
    assert not any(item.ended for item in short)
