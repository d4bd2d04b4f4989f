"""Batches in one order for all processes: any change of their number, at any step, loses and repeats nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from amtts_core.config.sections import TrainingConfig
from amtts_core.contract.types import Batch
from amtts_core.data.sampler import BucketSampler
from amtts_core.training.batch_loader import BatchLoader
from amtts_core.training.step_counter import total_steps


class Numbers:
    """Stands for a dataset: a batch is its indices."""

    def batch(self, indices: Sequence[int], *, epoch: int = 0) -> Batch:
        return {"ids": list(indices)}


def sampler_of(count: int, seed: int = 0) -> BucketSampler:
    lengths = [100 + 37 * n % 50 for n in range(count)]
    return BucketSampler(lengths, batch_seconds=350, max_utterances=3, seed=seed)


def loaders(
    sampler: BucketSampler, *, world: int, accumulate: int, epoch: int = 0, batch: int = 0
) -> list[BatchLoader]:
    found = []
    for rank in range(world):
        loader = BatchLoader(Numbers(), sampler, accumulate=accumulate, rank=rank, world=world)  # type: ignore[arg-type]
        loader.epoch, loader.batch = epoch, batch
        found.append(loader)
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)), min_size=1, max_size=6),
)
def test_any_change_of_processes_and_accumulation_keeps_the_order(
    count: int, stretches: list[tuple[int, int, int]]
) -> None:
    """Each stretch trains some steps with its own number of processes and of batches."""
    sampler = sampler_of(count)
    seen: list[list[int]] = []
    epoch = batch = 0
    for world, accumulate, steps in stretches:
        everyone = loaders(sampler, world=world, accumulate=accumulate, epoch=epoch, batch=batch)
        streams = [loader.groups() for loader in everyone]
        for _ in range(steps):
            shares = [[b["ids"] for b in next(stream)] for stream in streams]
            group = everyone[0].last_group
            assert all(loader.last_group == group for loader in everyone)
            assert all(
                (loader.epoch, loader.batch) == (everyone[0].epoch, everyone[0].batch) for loader in everyone
            )
            turns = [shares[n % world][n // world] for n in range(len(group))]
            assert turns == group, "processes take turns"
            assert sum(map(len, shares)) == len(group)
            seen += group
        epoch, batch = everyone[0].epoch, everyone[0].batch
    whole = [b for number in range(epoch + 1) for b in sampler.epoch(number)]
    assert seen == whole[: len(seen)]
    counted = Counter(i for b in seen[: len(seen) - batch] for i in b)
    assert set(counted.values()) <= {epoch}


def test_the_last_group_of_an_epoch_may_leave_a_process_without_a_batch() -> None:
    sampler = BucketSampler([300] * 3, batch_seconds=300, max_utterances=1, seed=0)
    one, two = (loader.groups() for loader in loaders(sampler, world=2, accumulate=1))
    assert [(len(next(one)), len(next(two))) for _ in range(2)] == [(1, 1), (1, 0)]


def test_the_number_of_steps_counts_from_where_a_step_changed_its_size() -> None:
    sampler = sampler_of(30)
    batches = [len(sampler.epoch(epoch)) for epoch in range(2)]
    config = TrainingConfig(max_steps=0, max_epochs=2)
    assert total_steps(config, sampler, batches_per_step=1) == sum(batches)
    assert total_steps(config, sampler, batches_per_step=4) == sum(-(-n // 4) for n in batches)
    changed = total_steps(config, sampler, batches_per_step=2, origin=(3, 0, 3))
    assert changed == 3 + -(-(batches[0] - 3) // 2) + -(-batches[1] // 2)
    assert total_steps(TrainingConfig(max_steps=5, max_epochs=2), sampler, batches_per_step=1) == 5
