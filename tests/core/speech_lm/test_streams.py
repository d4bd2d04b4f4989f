"""The delay pattern, what a stream makes of chosen ids, and the tables of codebooks."""

from __future__ import annotations

import pytest
import torch

from amtts_core.speech_lm.codebooks import DelayedCodebooks, SingleCodebook
from amtts_core.speech_lm.streams import IGNORED, CodeStream, from_grid, to_grid

LAYOUTS = [tuple(range(9)), (0, 8, 9, 10, 11, 12, 13, 14, 15), tuple(range(12)), (0,), (0, 0, 0)]


@pytest.mark.parametrize("delays", LAYOUTS)
@pytest.mark.parametrize("frames", [1, 2, 20])
def test_a_grid_holds_every_code_once(delays: tuple[int, ...], frames: int) -> None:
    codes = torch.randint(0, 50, (frames, len(delays)))
    inputs, targets = to_grid(codes, delays, end=50, pad=51)
    assert inputs.shape == targets.shape == (frames + max(max(delays), 1), len(delays))
    assert torch.equal(from_grid(targets, delays, frames), codes)
    assert int((targets != IGNORED).sum()) == frames * len(delays) + 1
    assert (inputs[0] == 51).all()
    assert int(targets[frames, 0]) == 50
    known = targets[:-1] != IGNORED
    assert torch.equal(inputs[1:][known], targets[:-1][known]), "an input step is the target step before it"
    assert (inputs[frames + 1 :, 0] == 50).all(), "codebook 0 stays at its end"


@pytest.mark.parametrize("delays", LAYOUTS)
def test_a_stream_feeds_what_training_feeds_and_gives_the_codes_back(delays: tuple[int, ...]) -> None:
    codes = torch.randint(0, 50, (20, len(delays)))
    inputs, targets = to_grid(codes, delays, end=50, pad=51)
    stream = CodeStream(delays, end=50, pad=51, min_frames=0, max_frames=100)
    for step, row in enumerate(targets.tolist()):
        assert not stream.over
        stream.append(
            step, [7 if code == IGNORED else code for code in row]
        )  # what is drawn there is not used
        if not stream.over:
            assert stream.fed == inputs[step + 1].tolist()
            assert stream.whole == max(0, min(20, step + 1 - max(delays)))
            assert torch.equal(stream.frames(0, stream.whole), codes[: stream.whole])
    assert stream.over
    assert stream.decoded().ended
    assert torch.equal(stream.decoded().codes, codes)


@pytest.mark.parametrize(("last", "ended"), [(9, True), (4, False)])
def test_a_stream_may_end_after_its_last_frame(last: int, ended: bool) -> None:
    stream = CodeStream((0,), end=9, pad=9, min_frames=0, max_frames=3)
    for step, code in enumerate((1, 2, 3, last)):
        assert not stream.over
        stream.append(step, [code])
    assert stream.over
    assert stream.decoded().ended is ended
    assert stream.decoded().codes[:, 0].tolist() == [1, 2, 3]


def test_a_copy_goes_on_by_itself() -> None:
    stream = CodeStream((0, 1), end=9, pad=10, min_frames=0, max_frames=5)
    stream.append(0, [1, 7])
    other = stream.copied()
    other.append(1, [9, 3])
    assert other.over
    assert not stream.over
    assert stream.fed == [1, 10]


def single(start_tokens: int = 1) -> SingleCodebook:
    return SingleCodebook(12, num_codes=8, start=8, end=10, positions=20, dim=4, start_tokens=start_tokens)


@pytest.mark.parametrize("starts", [1, 2])
def test_a_single_codebook_has_start_codes_and_end(starts: int) -> None:
    tables = single(starts)
    steps = tables.to_batch([torch.tensor([[1], [2]]), torch.tensor([[3]])])
    assert steps.inputs[..., 0].tolist() == [[8] * starts + [1, 2], [8] * starts + [3, 10]]
    assert steps.targets[..., 0].tolist() == [
        [IGNORED] * (starts - 1) + [1, 2, 10],
        [IGNORED] * (starts - 1) + [3, 10, IGNORED],
    ]
    assert steps.lengths.tolist() == [starts + 2, starts + 1]
    assert tables.input_positions(4).tolist() == [max(0, n - starts + 1) for n in range(4)]


def test_only_codes_and_the_end_are_left() -> None:
    logits = torch.zeros(2, 1, 12)
    single().bar(logits)
    assert logits[0, 0].isfinite().tolist() == [True] * 8 + [False, False, True, False]
    assert single().used_outputs == 11
    anywhere = SingleCodebook(12, num_codes=12, start=3, end=2, positions=9, dim=4)
    logits = torch.zeros(1, 1, 12)
    anywhere.bar(logits)
    assert logits[0, 0].isfinite().tolist() == [n != 3 for n in range(12)]
    assert anywhere.num_codes == 2
    delayed = torch.zeros(1, 3, 9)
    DelayedCodebooks(3, 8, delays=(0, 1, 2), positions=9, dim=4).bar(delayed)
    assert delayed[0, :, 8].isfinite().tolist() == [True, False, False], "codebook 0 ends the speech"


def test_the_tables_of_a_codebook_are_its_own() -> None:
    tables = DelayedCodebooks(3, 16, delays=(0, 1, 2), positions=9, dim=48)
    for number, (embedding, head) in enumerate(tables.codebook_tables()):
        with torch.no_grad():
            embedding[:16], head[:16] = number + 1, number + 1
    ids = torch.tensor([[[0, 16, 16]], [[16, 15, 16]]])
    with torch.no_grad():
        marks = tables.embedding.weight[[16, 2 * 16 + 2, 3 * 16 + 4]]
        vectors = tables.embed(ids) - tables.positions.weight[0]
        logits = tables.split(tables.head(torch.ones(48)) - tables.head.bias)
    torch.testing.assert_close(vectors[0, 0] - marks[1] - marks[2], torch.ones(48))
    torch.testing.assert_close(vectors[1, 0] - marks[0] - marks[2], torch.full((48,), 2.0))
    torch.testing.assert_close(logits[:, :16], torch.tensor([[48.0], [96], [144]]).expand(-1, 16))
