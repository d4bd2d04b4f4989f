"""The two kinds of failure: `AmttsError` is the user's to mend, anything else a bug with its traceback."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable


class AmttsError(Exception):
    """A user's mistake, told in one line.

    Args:
        message: names the thing, its value and what was expected.
        remedy: what mends it, best a command that can be copied; empty where there is none.
    """

    exit_code = 2

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = " ".join(message.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.message}. {self.remedy}" if self.remedy else self.message)

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process pool with message and remedy intact."""
        return (_rebuild, (type(self), self.message, self.remedy))


def _rebuild(kind: type[AmttsError], message: str, remedy: str) -> AmttsError:
    return kind(message, remedy=remedy)


class ConfigError(AmttsError):
    """A configuration that cannot be used; the message lists every fault at once."""


class CheckpointError(AmttsError):
    """A checkpoint that is missing, damaged, of another backend or of other sizes."""


class ManifestError(AmttsError):
    """A manifest or ledger line that cannot be read; names file and line."""


def command(*words: object) -> str:
    """A command line that can be pasted into a shell, whatever its paths hold."""
    return shlex.join(map(str, words))


def nearest(name: str, choices: Iterable[str], *, cutoff: float = 0.5) -> str:
    """`" (did you mean 'x'?)"` for the closest of `choices`, or an empty string; `cutoff` 1 accepts only equal ones."""
    found = difflib.get_close_matches(name, list(choices), n=1, cutoff=cutoff)
    return f" (did you mean '{found[0]}'?)" if found else ""
