"""The executor over Ray Data: on this machine, or on the cluster that RAY_ADDRESS names.

The stream of tasks is laid out in windows of bounded size, a Ray dataset each, whose results come back in order. Only
the function runs elsewhere; journal, duplicates and splits stay with the process that started.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import ray
import ray.data
from ray.exceptions import RayError, RayTaskError

from amtts_core.cluster import connected
from amtts_core.corpus.pool import cores, noted
from amtts_core.errors import AmttsError

T = TypeVar("T")
R = TypeVar("R")

_WINDOW = 128  # tasks in a window for each worker
_KNOWN = 8  # times as many results that are known already may wait in a window
_BYTES = 128 << 20  # of pickled tasks in a window: some carry their audio


@dataclass(frozen=True)
class RayExecutor:
    """See `executors.Executor`.

    Attributes:
        gpus: GPUs that each task needs; with any, workers stay alive between tasks and keep what they loaded.
        together: tasks that travel together; their results arrive when the last of them is done.
    """

    gpus: int = 0
    together: int = 16

    def __call__(
        self, work: Callable[[T], R], tasks: Iterable[tuple[T, R | None]], *, jobs: int = 0
    ) -> Generator[tuple[T, R], None, None]:
        """Yields each task with its result, in order; starts Ray where it does not run yet, and stops it then."""
        pickled = pickle.dumps(work)
        with connected(cpus=jobs or cores(), otherwise="Use --executor local"), _quiet():
            workers = jobs or self._workers()
            limit = _WINDOW * workers
            window: list[tuple[T, R | None]] = []
            open_tasks: list[bytes] = []
            size = 0
            for task, known in tasks:
                if known is not None and not open_tasks:
                    yield task, known
                    continue
                window.append((task, known))
                if known is None:
                    open_tasks.append(pickle.dumps(task))
                    size += len(open_tasks[-1])
                if len(open_tasks) >= limit or len(window) >= _KNOWN * limit or size >= _BYTES:
                    yield from _merged(window, self._results(pickled, open_tasks, workers))
                    window, open_tasks, size = [], [], 0
            if window:
                yield from _merged(window, self._results(pickled, open_tasks, workers))

    def _workers(self) -> int:
        resources = ray.cluster_resources()
        found = int(resources.get("GPU", 0) // self.gpus if self.gpus else resources.get("CPU", 0))
        if not found:
            raise AmttsError(
                f"Ray has no free {'GPU' if self.gpus else 'CPU'} for the tasks",
                remedy="Use --device cpu" if self.gpus else "Add a machine with `ray start`",
            )
        return found

    def _results(self, work: bytes, tasks: list[bytes], workers: int) -> Iterator[Any]:
        """What became of each task, in order."""
        rows = [{"number": number, "task": task} for number, task in enumerate(tasks)]
        blocks = max(1, min(len(rows), max(len(rows) // self.together, workers)))
        data = ray.data.from_items(rows, override_num_blocks=blocks)
        if self.gpus:
            done = data.map(
                cast(Any, _Worker),
                fn_constructor_args=(work,),
                num_gpus=self.gpus,
                compute=ray.data.ActorPoolStrategy(size=workers),
            )
        else:
            done = data.map(
                functools.partial(_do, work=work),
                num_cpus=1,
                compute=ray.data.TaskPoolStrategy(size=workers),
            )
        with _user_errors():
            for expected, row in enumerate(done.iter_rows()):
                assert row["number"] == expected, "Ray gave the results in another order"
                result = pickle.loads(row["result"])
                if isinstance(result, AmttsError):
                    raise result
                yield result


class _Worker:
    """`_do` for workers that live longer than a task."""

    def __init__(self, work: bytes) -> None:
        self._work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return _do(row, work=self._work)


def _do(row: dict[str, Any], *, work: bytes) -> dict[str, Any]:
    """Runs in a process of Ray: a task's result, or the `AmttsError` that it ended with."""
    result: Any
    try:
        result = noted(_loaded(work), pickle.loads(row["task"]))
    except AmttsError as error:
        result = error
    return {"number": row["number"], "result": pickle.dumps(result)}


@functools.lru_cache(maxsize=1)
def _loaded(work: bytes) -> Callable[[Any], Any]:
    """The function itself, unpickled once a process."""
    function: Callable[[Any], Any] = pickle.loads(work)
    return function


def _merged(window: list[tuple[T, R | None]], results: Iterator[R]) -> Iterator[tuple[T, R]]:
    for task, known in window:
        yield task, next(results) if known is None else known


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Results in order, and neither progress bars nor reports on the terminal, which is the caller's."""
    context = ray.data.DataContext.get_current()
    before = context.copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True
    context.execution_options.preserve_order = True
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        ray.data.DataContext._set_current(before)


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """Turns the loss of a worker into one line; a bug in the work keeps its traceback."""
    try:
        yield
    except RayTaskError:
        raise
    except RayError as error:
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise AmttsError(
            f"Ray lost a worker ({type(error).__name__}: {message})",
            remedy="What is done is kept; run the same command again, with fewer --jobs if memory was short",
        ) from None
