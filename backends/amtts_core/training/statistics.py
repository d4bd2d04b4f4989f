"""Around a step: learners with batch statistics update their network once, when all batches are done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from amtts_core.contract.backend import BackendSpec
from amtts_core.contract.learner import AllReduce, Learner


class SingleProcess:
    """The `AllReduce` of a single process: every tensor stays as it is."""

    def sum(self, tensor: Tensor) -> None:
        """The sum over one process."""

    def maximum(self, tensor: Tensor) -> None:
        """The maximum over one process."""


@contextmanager
def statistics_of(
    learner: Learner, spec: BackendSpec[Any], all_reduce: AllReduce | None = None
) -> Iterator[None]:
    """One step; an exception inside leaves the network as it was.

    Args:
        learner: of `spec`.
        spec: says whether the learner has batch statistics.
        all_reduce: joins the processes; None where there is one.
    """
    if spec.batch_statistics is None:
        yield
        return
    statistics = spec.batch_statistics.of(learner)
    statistics.begin_step()
    yield
    statistics.end_step(all_reduce or SingleProcess())
