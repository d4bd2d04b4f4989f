"""Who does the work on the items of a corpus: processes of this machine, or Ray.

An executor takes a pure function and a stream of tasks and gives the results back in the stream's order, so that what
is made of them does not depend on the executor.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Generator, Iterable
from typing import Protocol, TypeVar

from amtts_core.corpus.pool import run_ordered
from amtts_core.errors import AmttsError, nearest

T = TypeVar("T")
R = TypeVar("R")

EXECUTORS = ("local", "ray")


class Executor(Protocol):
    """Runs a function over tasks; `pool.run_ordered` is one."""

    def __call__(
        self, work: Callable[[T], R], tasks: Iterable[tuple[T, R | None]], *, jobs: int = 0
    ) -> Generator[tuple[T, R], None, None]:
        """Yields each task with its result, in the order of `tasks`.

        Args:
            work: pure and picklable; what it needs is found under the same paths wherever it runs.
            tasks: a task and its result where that is known already; pulled as results are consumed.
            jobs: tasks at once; 0 is as many as there are cores.

        Raises:
            AmttsError: the executor cannot work, or `work` raised it.
        """
        ...


def choose_executor(name: str = "local", *, gpus: int = 0, together: int = 16) -> Executor:
    """The executor called `name`.

    Args:
        name: "local" or "ray".
        gpus: what each task needs; only Ray shares GPUs out.
        together: tasks that Ray sends out together: 1 for those that take seconds each.

    Raises:
        AmttsError: unknown, or its package is not installed.
    """
    if name not in EXECUTORS:
        raise AmttsError(
            f"unknown executor '{name}'{nearest(name, EXECUTORS)}; known: {', '.join(EXECUTORS)}"
        )
    if name == "local":
        return run_ordered
    missing = [module for module in ("ray", "pyarrow", "pandas") if not _installed(module)]
    if missing:
        raise AmttsError(
            f"--executor ray needs the package {missing[0]}, which is not installed",
            remedy="pip install 'amtts[ray]'",
        )
    from amtts_core.corpus.ray_executor import RayExecutor

    return RayExecutor(gpus=gpus, together=together)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # half imported, or kept away
        return False


__all__ = ["EXECUTORS", "Executor", "choose_executor"]
