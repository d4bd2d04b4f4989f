"""Schedules by their values, and which weights decay."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from amtts_core.config.sections import OptimConfig
from amtts_core.training.optim import Schedule, build_optimizer, rate_factor

TOTAL = 1100


def factor(step: int, schedule: str, **changes: float) -> float:
    config = OptimConfig(schedule=schedule, **{"warmup_steps": 100, "final_ratio": 0.02, **changes})
    return rate_factor(step, TOTAL, config)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "exponential", "inverse-sqrt", "constant"])
def test_warm_up_rises_in_a_line_to_the_peak(schedule: str) -> None:
    assert factor(0, schedule) == pytest.approx(0.01)
    assert factor(49, schedule) == pytest.approx(0.5)
    assert factor(99, schedule) == pytest.approx(1.0)
    assert factor(0, schedule, warmup_steps=0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("schedule", "half", "end"),
    [
        ("cosine", 0.51, 0.02),
        ("linear", 0.51, 0.02),
        ("exponential", math.sqrt(0.02), 0.02),
        ("inverse-sqrt", math.sqrt(100 / 601), math.sqrt(100 / 1101)),
        ("constant", 1.0, 1.0),
    ],
)
def test_decay_half_way_and_at_the_end(schedule: str, half: float, end: float) -> None:
    assert factor(100, schedule) == pytest.approx(1.0, abs=0.01)
    assert factor(600, schedule) == pytest.approx(half, rel=1e-6)
    assert factor(1100, schedule) == pytest.approx(end, rel=1e-6)


@given(
    st.sampled_from(["cosine", "linear", "exponential", "inverse-sqrt", "constant"]),
    st.integers(0, 50),
    st.integers(1, 300),
    st.floats(0, 1),
)
def test_no_schedule_leaves_its_bounds_or_rises_again(
    schedule: str, warmup: int, total: int, final: float
) -> None:
    config = OptimConfig(schedule=schedule, warmup_steps=warmup, final_ratio=final)
    rates = [rate_factor(step, total, config) for step in range(total + 20)]
    assert all(0 <= rate <= 1 + 1e-9 for rate in rates)
    after = rates[warmup:]
    assert all(b <= a + 1e-9 for a, b in zip(after, after[1:], strict=False))


def test_only_matrices_decay() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Embedding(5, 6))
    optimizer = build_optimizer(network.parameters(), OptimConfig(weight_decay=0.3, betas=(0.8, 0.9)))
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for p in network.parameters() if p.ndim >= 2}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.3, 0.0}
    assert all(group["betas"] == (0.8, 0.9) for group in optimizer.param_groups)


def test_a_network_of_vectors_only() -> None:
    optimizer = build_optimizer([nn.Parameter(torch.zeros(3))], OptimConfig())
    assert len(optimizer.param_groups) == 1


def test_plateau_waits_acts_and_stays_above_its_floor() -> None:
    config = OptimConfig(
        learning_rate=1.0,
        schedule="plateau",
        warmup_steps=2,
        plateau_patience=2,
        plateau_factor=0.1,
        final_ratio=0.05,
    )
    schedule = Schedule(config, min_delta=0.1)
    assert [schedule.rate(step, total=TOTAL) for step in (0, 1, 2)] == pytest.approx([0.5, 1.0, 1.0])
    rates = []
    for value in (5.0, 4.0, 3.95, 3.9, 2.0, math.nan, 2.0, 2.0, 2.0):
        schedule.update(value)
        rates.append(schedule.rate(50, total=TOTAL))
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05])
    assert schedule.rate(0, total=TOTAL) == pytest.approx(0.05), "it never lifts the rate above the warm-up"


def test_plateau_goes_on_from_its_state() -> None:
    config = OptimConfig(schedule="plateau", plateau_patience=2)
    whole, first, second = (Schedule(config) for _ in range(3))
    values = [3.0, 3.0, 3.0, 2.0, 2.5, 2.5, 2.5]
    for value in values:
        whole.update(value)
    for value in values[:2]:
        first.update(value)
    second.load_state_dict(first.state_dict())
    for value in values[2:]:
        second.update(value)
    assert second.state_dict() == whole.state_dict()
    assert whole.rate(500, total=TOTAL) == pytest.approx(config.learning_rate / 4)
