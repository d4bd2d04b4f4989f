"""`amtts` called inside the test's process: fast, and errors in it are the test's own."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

from amtts_cli.app import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    raw: bytes = b""
    """Standard output as it is, for what is no text."""

    def json(self) -> Any:
        """Standard output, which holds one JSON object and nothing else."""
        return json.loads(self.out)

    def refused(self, *said: str) -> None:
        """Holds that it ended with 2 and one line on standard error that says all this."""
        assert self.code == 2, self.err
        assert self.out == ""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert self.err.rstrip("\n").endswith(lines[0]), "the error is the last line"
        assert "Traceback" not in self.err
        for part in said:
            assert part in lines[0], lines[0]


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def call(*arguments: object, stdin: str | bytes | None = None, terminal: bool = False) -> Done:
    """Runs `amtts ARGUMENTS`; `stdin` is what a pipe would bring, unless standard input is a terminal."""
    data = stdin.encode() if isinstance(stdin, str) else stdin or b""
    source = (_Terminal if terminal else io.TextIOWrapper)(io.BytesIO(data), encoding="utf-8")
    written, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(written, encoding="utf-8")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    code: Any = 0
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "stdin", source),
        ):
            main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        code = leaving.code
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    out.flush()
    raw = written.getvalue()
    return Done(int(code or 0), raw.decode(errors="replace"), err.getvalue(), raw)
