"""Runs a function over a stream of tasks in spawned processes and gives the results back in the stream's order.

Knows nothing of audio; another executor needs only the same signature. At most a few tasks a worker are in flight,
so memory does not grow with the stream.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from amtts_core.errors import AmttsError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 8  # tasks in flight for each worker
_GRACE = 2.0
"""Seconds that an interrupted run gives its workers to finish what they are at."""
_WINDOW = 512  # results that wait behind a slow one, known ones included
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_work: Callable[[Any], Any] | None = None


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_ordered(
    work: Callable[[T], R], tasks: Iterable[tuple[T, R | None]], *, jobs: int = 0
) -> Generator[tuple[T, R], None, None]:
    """Yields each task with its result, in the order of `tasks`, which is pulled as results are consumed.

    Args:
        work: pure and picklable.
        tasks: a task and its result where that is known already.
        jobs: processes; 1 works in this process, 0 takes every core.

    Raises:
        AmttsError: a worker process died.
    """
    jobs = jobs or cores()
    if jobs == 1:
        for task, known in tasks:
            yield task, noted(work, task) if known is None else known
        return
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(pickle.dumps(work),)
    )
    try:
        yield from _in_order(pool, tasks, limit=jobs * _AHEAD)
    except BrokenProcessPool:
        raise AmttsError(
            "a worker process died, most likely for want of memory",
            remedy="What is done is kept; run the same command again, with fewer --jobs",
        ) from None
    except (KeyboardInterrupt, GeneratorExit):
        _leave(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave(pool: ProcessPoolExecutor) -> None:
    """Ends the workers of an interrupted run: after their task, or after a moment where that takes long."""
    workers = list(pool._processes.values())
    pool.shutdown(wait=False, cancel_futures=True)
    until = time.monotonic() + _GRACE
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
    for worker in workers:
        worker.terminate()


def _in_order(
    pool: ProcessPoolExecutor, tasks: Iterable[tuple[T, R | None]], *, limit: int
) -> Iterator[tuple[T, R]]:
    waiting: deque[tuple[T, R | Future[R]]] = deque()
    flying = 0
    for task, known in tasks:
        if known is None:
            with _interrupts_held():
                waiting.append((task, pool.submit(_do, task)))
            flying += 1
        else:
            waiting.append((task, known))
        while waiting and (
            flying >= limit or len(waiting) >= _WINDOW or not isinstance(waiting[0][1], Future)
        ):
            task, result = waiting.popleft()
            flying -= isinstance(result, Future)
            yield task, result.result() if isinstance(result, Future) else result
    while waiting:
        task, result = waiting.popleft()
        yield task, result.result() if isinstance(result, Future) else result


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delays Ctrl-C, so that a worker started meanwhile inherits that it is not to be bothered."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(work: bytes) -> None:
    """Prepares a fresh process: one thread, Ctrl-C is the parent's to handle, and nobody outlives the parent.

    The work comes pickled so that the thread counts are set before the libraries that read them are imported.
    """
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    global _work
    _work = pickle.loads(work)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _do(task: Any) -> Any:
    assert _work is not None
    return noted(_work, task)


def noted(work: Callable[[T], R], task: T) -> R:
    """The result; a bug's traceback says which task met it."""
    try:
        return work(task)
    except Exception as error:
        error.add_note(f"while working on {task}")
        raise
