"""The one thread in which a voice's network runs, and the claims of requests on it.

Requests are spoken in turns: each runs `Voice.speak` or `Voice.stream` in a thread of its own, and every pass through
the network is queued here. Passes are taken in order, so a long text does not hold up a short one.

Sentences of several requests may share a pass, which a GPU likes. Matrix products of another size round otherwise, so
the last bit of a sample then depends on the company; a server that promises the command line's bytes does not share.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from amtts_core.contract.backend import Backend
    from amtts_core.contract.types import SynthesisRequest

T = TypeVar("T")
_POLL = 0.1


class Stopped(Exception):
    """Nobody waits for this speech any more."""


class Late(Exception):
    """The deadline of a request has passed."""


class Job:
    """A request's claim on a voice.

    Args:
        deadline: on the clock of `time.monotonic`.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Tells the thread that works for it to give up."""
        self._stopped.set()

    def check(self) -> None:
        """Raises `Stopped` or `Late` where work for it is in vain."""
        if self._stopped.is_set():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise Late


CURRENT: ContextVar[Job | None] = ContextVar("job", default=None)
"""Whom the running thread works for."""


class _Call:
    """A pass that waits for its turn."""

    def __init__(self, work: Callable[[], Any] | None, requests: list[SynthesisRequest]) -> None:
        self.work, self.requests, self.job = work, requests, CURRENT.get()
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self, work: Callable[[], Any]) -> None:
        try:
            self.result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where the call was made
            self.error = error
        self.done.set()


class ModelWorker:
    """Runs the passes of one voice, in order.

    Args:
        name: of the thread.
        backend: whose network it is.
        together: sentences in a pass that several requests share; 1 lets none be shared.
        on_pass: called with the number of sentences and of requests of each pass.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        *,
        together: int,
        on_pass: Callable[[int, int], None] = lambda sentences, requests: None,
    ) -> None:
        self._backend, self._together, self._on_pass = backend, together, on_pass
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], T]) -> T:
        """Runs `work` in the worker's thread when it is its turn."""
        return cast(T, self._submit(_Call(work, [])))

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """As `Backend.synthesize`, in the worker's thread."""
        return cast("list[np.ndarray]", self._submit(_Call(None, list(requests))))

    def close(self) -> None:
        """Ends the thread; calls that wait are given up."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _submit(self, call: _Call) -> Any:
        if call.job is not None:
            call.job.check()
        with self._changed:
            if self._closed:
                raise Stopped
            self._calls.append(call)
            self._changed.notify()
        while not call.done.wait(_POLL):
            self._give_up(call)
        if call.error is not None:
            raise call.error
        return call.result

    def _give_up(self, call: _Call) -> None:
        """Takes a call whose job is over out of the queue."""
        try:
            if call.job is not None:
                call.job.check()
        except (Stopped, Late):
            with self._changed:
                if call not in self._calls:
                    return  # it runs
                self._calls.remove(call)
            raise

    def _loop(self) -> None:
        while (calls := self._next()) is not None:
            self._pass(calls)
            del calls  # holds samples; the next wait may be long

    def _next(self) -> list[_Call] | None:
        with self._changed:
            while not self._calls and not self._closed:
                self._changed.wait()
            if self._closed:
                for call in self._calls:
                    call.settle(_stopped)
                self._calls.clear()
                return None
            first = self._calls.popleft()
            return [first, *self._company(first)]

    def _company(self, first: _Call) -> list[_Call]:
        """Calls that share the pass of `first`."""
        found: list[_Call] = []
        if self._together < 2 or first.work is not None:
            return found
        room = self._together - len(first.requests)
        for call in list(self._calls):
            if call.work is None and len(call.requests) <= room:
                room -= len(call.requests)
                self._calls.remove(call)
                found.append(call)
        return found

    def _pass(self, calls: list[_Call]) -> None:
        requests = [request for call in calls for request in call.requests]
        self._on_pass(max(1, len(requests)), len(calls))
        if len(calls) == 1:
            (call,) = calls
            call.settle(call.work or (lambda: self._backend.synthesize(call.requests)))
            return
        try:
            waveforms = iter(self._backend.synthesize(requests))
        except Exception:  # noqa: BLE001 - one of them is at fault: each finds out alone
            for call in calls:
                self._pass([call])
            return
        for call in calls:
            spoken = [next(waveforms) for _ in call.requests]
            call.settle(lambda spoken=spoken: spoken)  # type: ignore[misc]


class SharedBackend:
    """A backend whose network runs in the thread of a `ModelWorker`; all else is the backend's own."""

    def __init__(self, backend: Backend, worker: ModelWorker) -> None:
        self._backend, self._worker = backend, worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """As `Backend.synthesize`."""
        return self._worker.synthesize(requests)

    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """As `Streaming.stream`; each piece is a turn."""
        pieces = cast(Any, self._backend).stream(request)
        while (piece := self._worker.run(lambda: next(pieces, None))) is not None:
            yield piece


def _stopped() -> None:
    raise Stopped
