"""Around a step: learners that keep statistics of their batches move their network once, when all batches are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from amtts_core.contract.backend import KeepsStatistics, Learner, Reduction


class Alone:
    """The reduction of a single process: every tensor stays as it is."""

    def sum(self, tensor: Tensor) -> None:
        """The sum over one process."""

    def maximum(self, tensor: Tensor) -> None:
        """The maximum over one process."""


@contextmanager
def statistics_of(learner: Learner, reduction: Reduction | None = None) -> Iterator[None]:
    """One step; an exception inside leaves the network unmoved.

    Args:
        learner: any; one that keeps no statistics is left alone.
        reduction: joins the processes; None where there is one.
    """
    if not isinstance(learner, KeepsStatistics):
        yield
        return
    learner.begin_step()
    yield
    learner.end_step(reduction or Alone())
