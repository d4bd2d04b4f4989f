"""The only module that prints. Results go to standard output, progress and logs to standard error.

`--json` turns results into one JSON object; NO_COLOR and a redirected stream turn colors off (by rich).
"""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class _State:
    json_output = False


def use_json(on: bool) -> None:
    """Switches results to JSON for the rest of the process."""
    _State.json_output = on


def wants_json() -> bool:
    """True where `--json` was given."""
    return _State.json_output


def escape_unprintable() -> None:
    """Lets a terminal or pipe that cannot write Ethiopic show escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stderr() -> Console:
    """A rich console on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def log(message: str) -> None:
    """One line on standard error, as it is (no markup)."""
    stderr().print(message, soft_wrap=True)


def warn(message: str) -> None:
    """A warning on standard error."""
    stderr().print(f"warning: {message}", style="yellow", soft_wrap=True)


def error(message: str) -> None:
    """An error on standard error, always one line."""
    stderr().print(f"error: {message}", style="bold red", soft_wrap=True)


def out(text: str) -> None:
    """A plain line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def out_bytes(data: bytes) -> None:
    """Sound on standard output, handed on at once; nothing else may go there.

    Raises:
        AmttsError: it cannot be written (a full disk).
        BrokenPipeError: nobody reads it any more.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _close_stdout()
        raise
    except OSError as error:
        _close_stdout()
        raise AmttsError(
            f"standard output cannot be written: {error.strerror}", remedy="Free space, or write elsewhere"
        ) from None


def rewrite_start(data: bytes) -> None:
    """Replaces the first bytes of standard output, where that is a file that was begun here."""
    try:
        handle = sys.stdout.fileno()
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return
        import fcntl

        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_APPEND:
            return
        end = os.lseek(handle, 0, os.SEEK_CUR)
        if end == os.fstat(handle).st_size:
            os.pwrite(handle, data, 0)
    except (OSError, ValueError, ImportError):  # no such file: the first bytes stay as they are
        return


def _close_stdout() -> None:
    """Lets the interpreter end without another try to write what is left."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def result(values: dict[str, Any], *, lines: Iterable[str] = ()) -> None:
    """The outcome of a command: one JSON object with `--json`, otherwise `lines` for people."""
    if wants_json():
        out(json.dumps(values, ensure_ascii=False, default=str))
    else:
        for line in lines:
            out(line)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    view = Table(*columns, title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows:
        view.add_row(*(str(cell) for cell in row))
    wide = (
        None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    )  # rich takes 80 for a pipe and wraps cells
    Console(width=wide, highlight=False, markup=False, emoji=False).print(view)


def progress() -> Progress:
    """A progress display on standard error: bar, count, note and time left. Nothing where that is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = stderr()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def route_logs(verbose: bool) -> None:
    """Sends the core's log records to standard error."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
        force=True,
    )
    for noisy in ("matplotlib", "torch", "accelerate", "numba"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
