"""Which kernel is fastest here: measured once for a machine and a shape, kept in the user's cache folder.

Speed depends on the processor: a kernel that doubles the speed of one halves that of another. So nothing is assumed:
candidates run in turns for some milliseconds, plain torch is always one of them, and another one has to be faster by
`MARGIN` to be chosen. What a busy machine measured is used and not kept. Knows names and seconds; what the
candidates do is the caller's.

`AMTTS_KERNELS` pins the choice: `plain` takes plain torch everywhere and measures nothing; `linear=packed,draft=3`
names candidates for some kinds of choice and leaves the others to plain torch; `auto` (or nothing) measures.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from amtts_core.errors import AmttsError
from amtts_core.storage.atomic import replace_text
from amtts_core.units import Seconds

logger = logging.getLogger(__name__)
VARIABLE = "AMTTS_KERNELS"
MARGIN = 0.03
"""Share of its time by which a candidate has to be faster than plain torch."""
ROUNDS, MOST_ROUNDS, BUDGET = 5, 100, 0.01
"""Runs of each candidate, in turns, after a first one that does not count: so many at least, and more while all of them
together took less than so many seconds. The least time of each part of its work counts."""
BUSY = 1.5
"""Times as long as its work a measurement took on a machine that was busy with something else."""
PLAIN = "plain"
FILE = "kernels.json"
KINDS = ("linear", "attention", "precision", "draft")
"""Kinds of choice that are made: the parts before the colon of a key."""


@dataclass(frozen=True)
class Choice:
    """A measured choice.

    Attributes:
        name: of the candidate, `plain` for plain torch.
        seconds: it took.
        plain: seconds that plain torch took.
        value: a number that belongs to it, see `runtime.plan_drafts`; 0 where there is none.
    """

    name: str
    seconds: Seconds
    plain: Seconds
    value: float = 0.0

    @property
    def speedup(self) -> float:
        """Times as fast as plain torch."""
        return self.plain / self.seconds if self.seconds > 0 else 1.0


def machine() -> str:
    """What speed depends on: processor, release of torch, threads."""
    return f"{_processor()} | torch {torch.__version__} | {torch.get_num_threads()} threads"


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    return f"{values.get('model name', platform.machine())} ({values.get('model', '?')}/{values.get('stepping', '?')})"


def cache_file() -> Path:
    """Where choices are kept: `amtts/kernels.json` in the user's cache folder (`XDG_CACHE_HOME`, else ~/.cache)."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(folder) / "amtts" / FILE


def pinned(kind: str) -> str | None:
    """The candidate that `AMTTS_KERNELS` or `pin` names for a kind of choice; None where it is measured.

    Raises:
        AmttsError: it names an unknown kind.
    """
    return pins().get(kind)


def pins() -> dict[str, str]:
    """Kind of choice -> the candidate that is pinned; empty where all are measured. See `pinned`."""
    return _pins(_OVERRIDES[-1] if _OVERRIDES else os.environ.get(VARIABLE, ""))


_OVERRIDES: list[str] = []


@contextmanager
def pin(text: str) -> Iterator[None]:
    """Inside, `text` stands in place of the variable."""
    _OVERRIDES.append(text)
    try:
        yield
    finally:
        _OVERRIDES.pop()


@cache
def _pins(text: str) -> dict[str, str]:
    if text in ("", "auto"):
        return {}
    pins = dict.fromkeys(KINDS, PLAIN)
    for part in [] if text == PLAIN else text.split(","):
        kind, _, name = part.strip().partition("=")
        if kind not in KINDS or not name:
            raise AmttsError(
                f"{VARIABLE}='{text}': '{part}' is no pin, expected auto, plain, or KIND=NAME with one of "
                f"{', '.join(KINDS)}",
                remedy=f"Unset it, or {VARIABLE}=plain",
            )
        pins[kind] = name
    return pins


Work = Sequence[Callable[[], object]]
"""What a candidate does, in parts: the shorter they are, the less a busy machine disturbs them."""


def choose(key: str, candidates: Collection[str], work: Callable[[], Mapping[str, Work]]) -> Choice:
    """The fastest candidate, measured if this machine has not done so before.

    Args:
        key: kind, a colon, and all that the times depend on besides the machine.
        candidates: names, `plain` among them. A pinned candidate that is not among them is `plain`.
        work: name -> the same work as each candidate does it; asked for where it is measured.
    """
    pin = pinned(key.partition(":")[0])
    if pin is not None:
        return Choice(pin if pin in candidates else PLAIN, 0.0, 0.0)
    known = recorded(key)
    if known is not None and known.name in candidates:
        return known
    measured = measure(work())
    times = measured.seconds
    fastest = min(times, key=times.__getitem__)
    if times[fastest] > (1 - MARGIN) * times[PLAIN]:
        fastest = PLAIN
    return record(key, Choice(fastest, times[fastest], times[PLAIN]), keep=not measured.busy)


@dataclass(frozen=True)
class Measured:
    """Seconds of each candidate, and whether the machine was busy with something else meanwhile."""

    seconds: dict[str, Seconds]
    busy: bool


def measure(candidates: Mapping[str, Work]) -> Measured:
    """The least time of the parts of each candidate's work, run in turns so that all meet the same machine."""
    # one thread's own time does not count what others do meanwhile; that of several is known by the clock alone
    clock = time.thread_time if torch.get_num_threads() == 1 and os.name == "posix" else time.perf_counter
    least = {name: [float("inf")] * len(work) for name, work in candidates.items()}
    for work in candidates.values():
        for part in work:
            part()
    begun, worked = time.perf_counter(), time.thread_time()
    for turn in range(MOST_ROUNDS):
        if turn >= ROUNDS and time.perf_counter() - begun > BUDGET:
            break
        for name, work in candidates.items():
            for number, part in enumerate(work):
                began = clock()
                part()
                least[name][number] = min(least[name][number], clock() - began)
    busy = time.perf_counter() - begun > BUSY * (time.thread_time() - worked)
    return Measured({name: sum(parts) for name, parts in least.items()}, busy)


_MEMORY: dict[tuple[str, str], Choice] = {}
"""(machine, key) -> what was chosen, as far as this process knows."""
_UNKEPT: set[tuple[str, str]] = set()
"""Those of a busy machine, which are not on disk."""
_READ: set[Path] = set()
_ANEW: list[set[str]] = []
"""Keys that were measured since `measuring_anew` began."""


def recorded(key: str) -> Choice | None:
    """What this machine chose before."""
    _read(cache_file())
    if _ANEW and key not in _ANEW[-1]:
        return None
    return _MEMORY.get((machine(), key))


def record(key: str, choice: Choice, *, keep: bool = True) -> Choice:
    """Remembers a choice in this process, and keeps it on disk where it should and can be; returns it."""
    path = cache_file()
    _read(path)
    _MEMORY[machine(), key] = choice
    if _ANEW:
        _ANEW[-1].add(key)
    _UNKEPT.discard((machine(), key))
    if not keep:
        _UNKEPT.add((machine(), key))
        return choice
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = _stored(path)
        stored.setdefault(machine(), {})[key] = asdict(choice)
        replace_text(path, json.dumps(stored, indent=1) + "\n")
    except OSError as fault:  # a read-only home: the next process measures again
        logger.debug("kernel choices are not kept: %s", fault)
    return choice


def choices() -> list[tuple[str, Choice]]:
    """Key and choice of all that this machine has measured, for `amtts doctor`; sorted."""
    _read(cache_file())
    return sorted((key, choice) for (where, key), choice in _MEMORY.items() if where == machine())


def unkept() -> int:
    """How many choices this process made on a busy machine, which the next one makes again."""
    return len(_UNKEPT)


def forget() -> None:
    """Drops what this process knows, so that it reads the file (or measures) again."""
    for known in (_MEMORY, _UNKEPT, _READ):
        known.clear()


@contextmanager
def measuring_anew() -> Iterator[None]:
    """Inside, what is known counts for nothing; what is measured replaces it."""
    _ANEW.append(set())
    try:
        yield
    finally:
        _ANEW.pop()


def _read(path: Path) -> None:
    if path in _READ:
        return
    _READ.add(path)
    for where, found in _stored(path).items():
        for key, choice in _valid(found):
            _MEMORY.setdefault((where, key), choice)


def _stored(path: Path) -> dict[str, Any]:
    """The file's content; empty where there is none or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {str(where): own for where, own in found.items() if isinstance(own, dict)}
        if isinstance(found, dict)
        else {}
    )


def _valid(found: Mapping[str, Any]) -> Iterable[tuple[str, Choice]]:
    for key, values in found.items():
        try:
            yield (
                key,
                Choice(str(values["name"]), *(float(values[name]) for name in ("seconds", "plain", "value"))),
            )
        except (KeyError, TypeError, ValueError):  # of another release of amtts: measured again
            continue
