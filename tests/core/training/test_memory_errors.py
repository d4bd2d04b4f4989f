"""Memory that runs out on a CPU is memory that runs out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_voice import train_tiny

from amtts_chatterbox.mel.learner import ChatterboxMelLearner
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import read_json_lines
from amtts_core.training.memory_errors import is_out_of_memory

MESSAGES = [
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "80000000000 bytes. Error code 12 (Cannot allocate memory)",
    "could not create a primitive",
    "std::bad_alloc",
]


def test_a_real_allocation_that_fails_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_what_means_that_memory_ran_out() -> None:
    assert all(is_out_of_memory(RuntimeError(message)) for message in MESSAGES)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError(MESSAGES[0]))


@pytest.mark.parametrize("message", MESSAGES)
def test_batches_are_split_on_a_cpu_too(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    plain = ChatterboxMelLearner.losses

    def small_only(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        if len(batch["ids"]) > 1 and self.modules["network"].training:
            raise RuntimeError(message)
        yield from plain(self, batch)

    monkeypatch.setattr(ChatterboxMelLearner, "losses", small_only)
    assert train_tiny(corpus, tmp_path / "run").outcome.step == 6
    rows = list(read_json_lines(tmp_path / "run/seen_utterances.jsonl"))
    assert max(len(row["ids"]) for row in rows) > 1


def test_memory_that_runs_out_elsewhere_is_one_line(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise RuntimeError(MESSAGES[0])

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(AmttsError, match="memory ran out: .*DefaultCPUAllocator.*data.batch_seconds"):
        train_tiny(corpus, tmp_path / "run")
