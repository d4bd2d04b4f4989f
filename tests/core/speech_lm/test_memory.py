"""What a checkpoint keeps of lengths and speakers, by one process or two."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from amtts_core.speech_lm.length_model import LengthModel
from amtts_core.speech_lm.speaker_memory import FORGET, LongestClip, RunningMeans
from amtts_core.training.statistics import SingleProcess


class Together:
    """Two processes in turn: the first call of each pair adds, the second sees the sum."""

    def __init__(self, others: Sequence[torch.Tensor]) -> None:
        self._others = list(others)

    def sum(self, tensor: torch.Tensor) -> None:
        tensor += self._others.pop(0).to(tensor)

    def maximum(self, tensor: torch.Tensor) -> None:
        torch.maximum(tensor, self._others.pop(0).to(tensor), out=tensor)


class Recorder(SingleProcess):
    """Keeps what a process would send."""

    def __init__(self) -> None:
        self.sent: list[torch.Tensor] = []

    def sum(self, tensor: torch.Tensor) -> None:
        self.sent.append(tensor.clone())

    maximum = sum


def test_lengths_follow_a_line_through_what_was_seen() -> None:
    lengths = LengthModel()
    assert lengths.predict(10) == 0
    assert lengths.bounds() is None
    for _ in range(300):
        tokens = torch.randint(5, 60, (8,))
        lengths.begin_step()
        lengths.update(tokens, tokens * 3 + 12)
        lengths.end_step(SingleProcess())
    assert lengths.predict(20) == pytest.approx(72, rel=0.03)
    assert lengths.predict(50) == pytest.approx(162, rel=0.03)
    least, most = lengths.bounds() or (0, 0)
    assert (least, most) == (pytest.approx(3.2, abs=0.02), pytest.approx(5.4, abs=0.02))
    assert lengths.bounds(slack=2) == (least / 2, most * 2)
    before = [buffer.clone() for buffer in lengths.buffers()]
    lengths.update(torch.tensor([1]), torch.tensor([500]))
    lengths.begin_step()
    lengths.end_step(SingleProcess())
    assert all(torch.equal(a, b) for a, b in zip(before, lengths.buffers(), strict=True)), "a skipped step"


def test_two_processes_see_lengths_as_one() -> None:
    batches = [(torch.tensor([4, 8]), torch.tensor([9, 30])), (torch.tensor([5]), torch.tensor([60]))]
    one = LengthModel()
    for batch in batches:
        one.update(*batch)
    one.end_step(SingleProcess())
    parts = [LengthModel(), LengthModel()]
    for part, batch in zip(parts, batches, strict=True):
        part.update(*batch)
    sent = Recorder()
    parts[1].end_step(sent)
    parts[0].end_step(Together(sent.sent))
    torch.testing.assert_close(parts[0].sums, one.sums)
    assert parts[0].ratios.tolist() == one.ratios.tolist() == [2250, 12000]


def test_means_start_at_the_first_clips_and_move_slowly() -> None:
    memory = RunningMeans({"latents": torch.zeros(3, 2, 4), "emotion": torch.zeros(3, 4)})
    memory.update(
        torch.tensor([0, 0, 2]), {"latents": torch.ones(3, 2, 4), "emotion": torch.arange(12.0).view(3, 4)}
    )
    memory.end_step(SingleProcess())
    assert memory.rows()["emotion"][0].tolist() == [2, 3, 4, 5]
    assert not bool(memory.rows()["latents"][1].any())
    memory.update(torch.tensor([0]), {"latents": torch.full((1, 2, 4), 3.0), "emotion": torch.zeros(1, 4)})
    memory.end_step(SingleProcess())
    torch.testing.assert_close(memory.rows()["latents"][0], torch.full((2, 4), 1 + 2 * FORGET))
    memory.update(torch.tensor([1]), {"latents": torch.ones(1, 2, 4), "emotion": torch.ones(1, 4)})
    memory.begin_step()
    memory.end_step(SingleProcess())
    assert not bool(memory.rows()["latents"][1].any()), "a skipped step"


def longest() -> LongestClip:
    return LongestClip({"vectors": torch.zeros(2, 3), "prompts": torch.zeros(2, 5, dtype=torch.long)})


def test_the_longest_clip_is_kept_as_far_as_it_goes() -> None:
    memory = longest()
    for codes, value in (([1, 2], 1.0), ([3, 4, 5], 2.0), ([9], 3.0)):
        memory.update(1, torch.tensor(codes), {"vectors": torch.full((3,), value)})
    memory.end_step(SingleProcess())
    assert memory.rows()["prompts"].tolist() == [[0] * 5, [3, 4, 5, 0, 0]]
    assert memory.rows()["vectors"][1].tolist() == [2, 2, 2]
    memory.update(1, torch.tensor([7] * 9), {"vectors": torch.full((3,), 4.0)})
    memory.update(0, torch.tensor([6, 6]), {"vectors": torch.full((3,), 5.0)})
    memory.end_step(SingleProcess())
    assert memory.rows()["prompts"].tolist() == [[6, 6, 0, 0, 0], [7] * 5]
    assert memory.lengths.tolist() == [2, 5]
    memory.update(1, torch.tensor([8] * 9), {"vectors": torch.full((3,), 6.0)})
    memory.end_step(SingleProcess())
    assert memory.rows()["prompts"][1].tolist() == [7] * 5, "only a longer one replaces it"


@pytest.mark.parametrize("same", [True, False])
def test_two_processes_keep_the_same_clip_as_one(same: bool) -> None:
    clips = [([1, 2, 3], 1.0), ([1, 2, 3], 1.0) if same else ([4, 5, 6], 2.0)]
    one, parts = longest(), [longest(), longest()]
    for part, (codes, value) in zip(parts, clips, strict=True):
        for memory in (one, part):
            memory.update(0, torch.tensor(codes), {"vectors": torch.full((3,), value)})
    one.end_step(SingleProcess())
    ranks = torch.zeros(2, dtype=torch.long)
    ranks[0] = parts[1]._best[0][0]
    mine = parts[0]._best[0][0]
    wins = int(ranks[0]) >= mine
    others = [
        ranks,
        torch.tensor([int(wins), 0]),
        torch.tensor([[clips[1][1] * wins] * 3, [0] * 3]),
        torch.tensor([[*(code * wins for code in clips[1][0]), 0, 0], [0] * 5]),
    ]
    parts[0].end_step(Together(others))
    for name, rows in one.rows().items():
        assert torch.equal(parts[0].rows()[name], rows), name
