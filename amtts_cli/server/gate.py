"""Places for requests: a bounded number is spoken, a bounded number waits, the rest is refused at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from amtts_cli.server.errors import busy, late
from amtts_core.units import Seconds

_SMOOTH = 0.2


class Place:
    """A place that is taken until it is given back."""

    def __init__(self, give_back: Callable[[Seconds], None]) -> None:
        self._give_back, self._since = give_back, time.monotonic()
        self._held = True

    def release(self) -> None:
        """Gives the place back, once."""
        if self._held:
            self._held = False
            self._give_back(time.monotonic() - self._since)


class Gate:
    """The places of one voice; of one event loop.

    Args:
        active: requests that are spoken in turns.
        waiting: requests that wait.
        on_change: called with (active, waiting).
    """

    def __init__(self, *, active: int, waiting: int, on_change: Callable[[int, int], None]) -> None:
        self._size, self._most_waiting, self._on_change = active, waiting, on_change
        self._free = asyncio.Semaphore(active)
        self.active = self.waiting = 0
        self._mean: Seconds = 1.0

    async def enter(self, deadline: float, allowed: Seconds) -> Place:
        """Waits for a place.

        Args:
            deadline: on the clock of `time.monotonic`.
            allowed: seconds that the deadline stands for.

        Raises:
            ApiError: 429 where too many wait, 504 where the deadline passes.
        """
        if self._free.locked() and self.waiting >= self._most_waiting:
            raise busy(f"{self.waiting} requests wait for this voice; no more may", self.retry_after)
        self.waiting += 1
        self._report()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._free.acquire()
        except TimeoutError:
            raise late(allowed) from None
        finally:
            self.waiting -= 1
            self._report()
        self.active += 1
        self._report()
        return Place(self._leave)

    @property
    def retry_after(self) -> Seconds:
        """Seconds until a place should be free."""
        return min(60.0, max(1.0, self._mean * (self.waiting + 1) / self._size))

    def _leave(self, seconds: Seconds) -> None:
        self._mean += _SMOOTH * (seconds - self._mean)
        self.active -= 1
        self._free.release()
        self._report()

    def _report(self) -> None:
        self._on_change(self.active, self.waiting)


class Shares:
    """Requests of each key at a time.

    Args:
        most: of one key.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    def acquire(self, name: str) -> Place:
        """A share of a key.

        Raises:
            ApiError: 429 where the key has no more.
        """
        if self._taken[name] >= self._most:
            raise busy(
                f"{self._most} requests of this key are under way; no more may be",
                1.0,
                code="key_limit_reached",
            )
        self._taken[name] += 1
        return Place(lambda _: self._drop(name))

    def _drop(self, name: str) -> None:
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]
