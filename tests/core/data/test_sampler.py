"""The sampler's promises: every utterance once, within budget, the same for the same seed, little padding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amtts_core.data.sampler import BucketSampler

lengths_of = st.lists(st.integers(1, 900), min_size=1, max_size=80)


def sampler(lengths: list[int], **changes: int) -> BucketSampler:
    values = {"batch_seconds": 2000, "max_utterances": 16, "seed": 1, **changes}
    return BucketSampler(lengths, **values)


@settings(max_examples=150, deadline=None)
@given(lengths_of, st.integers(0, 5), st.integers(0, 99))
def test_every_utterance_exactly_once(lengths: list[int], epoch: int, seed: int) -> None:
    batches = sampler(lengths, seed=seed).epoch(epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches), "no batch is empty"


@settings(max_examples=100, deadline=None)
@given(lengths_of, st.integers(100, 3000), st.integers(1, 9))
def test_the_budget_is_kept(lengths: list[int], frames: int, utterances: int) -> None:
    chosen = sampler(lengths, batch_seconds=frames, max_utterances=utterances)
    for batch in itertools.chain(chosen.epoch(0), chosen.in_order()):
        assert len(batch) <= utterances
        longest = max(lengths[i] for i in batch)
        assert longest * len(batch) <= frames or len(batch) == 1


@settings(max_examples=60, deadline=None)
@given(lengths_of)
def test_validation_order_covers_everything_by_length(lengths: list[int]) -> None:
    seen = [i for batch in sampler(lengths).in_order() for i in batch]
    assert sorted(seen) == list(range(len(lengths)))
    assert [lengths[i] for i in seen] == sorted(lengths)


def realistic(count: int = 2000) -> list[int]:
    """Sentences of 1 to 12 seconds at 86 frames a second, log-normal as read speech is."""
    seconds = np.random.default_rng(0).lognormal(1.4, 0.45, count).clip(1, 12)
    return (seconds * 86).astype(int).tolist()


def test_the_same_seed_gives_the_same_epoch_in_another_process() -> None:
    lengths = realistic(300)
    assert sampler(lengths).epoch(3) == sampler(lengths).epoch(3)
    assert sampler([5, 9, 5, 7, 6, 9, 8, 5], batch_seconds=20).epoch(2) == [
        [6, 5],
        [2, 0, 7],
        [1],
        [4, 3],
    ], "a stored run counts on this order"


def test_epochs_and_seeds_differ_in_order_and_in_company() -> None:
    lengths = realistic(300)
    first = sampler(lengths)
    assert first.epoch(0) != first.epoch(1)
    assert first.epoch(0) != sampler(lengths, seed=2).epoch(0)
    batches = [{frozenset(batch) for batch in first.epoch(e)} for e in range(2)]
    assert len(batches[0] & batches[1]) < len(batches[0]) / 2, "utterances meet others each epoch"
    sizes = [lengths[batch[0]] for batch in first.epoch(0)]
    assert sizes != sorted(sizes), "short and long batches are mixed"


@pytest.mark.parametrize("frames", [4000, 6000, 16000])
def test_padding_stays_below_five_percent(frames: int) -> None:
    lengths = realistic()
    chosen = sampler(lengths, batch_seconds=frames, max_utterances=64)
    for epoch in range(3):
        assert chosen.padding_share(chosen.epoch(epoch)) < 0.05


def test_padding_share_is_what_it_says() -> None:
    assert sampler([2, 4, 3]).padding_share([[0, 1], [2]]) == pytest.approx(2 / 11)
    assert sampler([2]).padding_share([[0]]) == 0
