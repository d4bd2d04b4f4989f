"""The choice of kernels: measured once, kept for the machine, pinned by a variable, plain where nothing is faster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from amtts_core.errors import AmttsError
from amtts_core.speech_lm import kernels, tuning
from amtts_core.speech_lm.kernels import CachedLinear, WeightCache, layer_kernels


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "BUSY", 1e9)  # others may be at work on the machine of the tests
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(tuning.VARIABLE)
    tuning.forget()


def works(seconds: float, calls: list[float] | None = None) -> Callable[[], None]:
    def run() -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        if calls is not None:
            calls.append(seconds)

    return run


def choose(key: str, candidates: dict[str, Callable[[], None]]) -> tuning.Choice:
    return tuning.choose(key, list(candidates), lambda: {name: [run] for name, run in candidates.items()})


def test_the_fastest_is_chosen_once_and_kept_on_disk() -> None:
    calls: list[float] = []
    choice = choose("linear:a", {"plain": works(0.004, calls), "quick": works(0.001, calls)})
    assert choice.name == "quick"
    assert choice.speedup > 1.5
    measured = len(calls)
    tuning.forget()  # as in a new process
    assert choose("linear:a", {"plain": works(0.001, calls), "quick": works(0.004, calls)}).name == "quick"
    assert len(calls) == measured
    stored = json.loads(tuning.cache_file().read_text())
    assert list(stored) == [tuning.machine()]
    assert [key for key, _ in tuning.choices()] == ["linear:a"]


def test_plain_stays_unless_another_is_clearly_faster() -> None:
    assert choose("linear:b", {"plain": works(0.002), "same": works(0.002)}).name == "plain"


def test_another_machine_measures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    choose("linear:a", {"plain": works(0.003), "quick": works(0.0)})
    monkeypatch.setattr(tuning, "_processor", lambda: "another processor")
    assert tuning.recorded("linear:a") is None
    assert choose("linear:a", {"plain": works(0.0), "slow": works(0.003)}).name == "plain"
    assert len(json.loads(tuning.cache_file().read_text())) == 2


def test_a_busy_machine_chooses_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "BUSY", 1.5)
    found = tuning.choose("linear:a", ["plain"], lambda: {"plain": [lambda: time.sleep(0.003)]})
    assert found.name == "plain"
    assert tuning.recorded("linear:a") is not None
    tuning.forget()
    assert tuning.recorded("linear:a") is None


def test_what_is_known_can_be_measured_anew() -> None:
    choose("linear:a", {"plain": works(0.003), "quick": works(0.0)})
    with tuning.measuring_anew():
        assert choose("linear:a", {"plain": works(0.0), "quick": works(0.003)}).name == "plain"
        assert choose("linear:a", {"plain": works(0.003), "quick": works(0.0)}).name == "plain", "once"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 3}', '{"x": {"linear:a": {"name": 1}}}'])
def test_a_damaged_file_is_measured_over(content: str) -> None:
    tuning.cache_file().parent.mkdir(parents=True)
    tuning.cache_file().write_text(content)
    assert choose("linear:a", {"plain": works(0.003), "quick": works(0.0)}).name == "quick"
    tuning.forget()
    assert tuning.recorded("linear:a") is not None


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert choose("linear:a", {"plain": works(0.003), "quick": works(0.0)}).name == "quick"


def test_a_variable_pins_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = {"plain": works(0.003), "quick": works(0.0), "slow": works(0.005)}
    for text, name in (
        ("plain", "plain"),
        ("linear=slow", "slow"),
        ("draft=2", "plain"),
        ("linear=none", "plain"),
    ):
        monkeypatch.setenv(tuning.VARIABLE, text)
        assert choose("linear:a", candidates).name == name
    assert not tuning.cache_file().exists(), "nothing was measured"
    monkeypatch.setenv(tuning.VARIABLE, "auto")
    assert choose("linear:a", candidates).name == "quick"
    monkeypatch.setenv(tuning.VARIABLE, "linaer=packed")
    with pytest.raises(AmttsError, match="'linaer=packed' is no pin, expected auto, plain, or KIND=NAME"):
        choose("linear:a", candidates)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_kernel_computes_the_same_product(
    bias: bool, rows: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "SMALL", 0)
    weight, vectors = torch.randn(48, 32, dtype=dtype), torch.randn(rows, 32, dtype=dtype)
    offset = torch.randn(48, dtype=dtype) if bias else None
    linear = CachedLinear(weight, offset)
    names = linear.candidates(rows)
    assert len(names) > 3
    expected = nn.functional.linear(
        vectors.double(), weight.double(), None if offset is None else offset.double()
    )
    for name in names:
        found = linear.kernel(name, rows)(vectors)
        assert found.shape == expected.shape
        tolerance = 1e-4 if dtype == torch.float32 else 0.15
        torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=tolerance)


def test_measuring_draws_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "SMALL", 0)
    before = torch.get_rng_state()
    layer_kernels([CachedLinear(torch.zeros(48, 32))], 2)
    assert [key for key, _ in tuning.choices()] == ["linear:float32 48x32 rows 2"]
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_between_are_measured_as_the_next_bucket() -> None:
    assert [kernels.bucket(rows) for rows in (1, 5, 6, 33, 64)] == [1, 6, 6, 48, 64]


def test_what_was_derived_from_weights_is_derived_again_when_they_change() -> None:
    cache: WeightCache[list[int]] = WeightCache()
    network = nn.Linear(2, 2)
    first = cache.of(network, "key", list)
    assert cache.of(network, "key", list) is first
    with torch.no_grad():
        network.weight.add_(1)
    assert cache.of(network, "key", list) is not first
