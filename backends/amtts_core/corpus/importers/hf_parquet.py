"""Parquet and arrow files through a reader in a process of its own, so that a damaged file costs itself alone."""

from __future__ import annotations

import importlib.util
import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.base import Clip, Fault, ReadOptions
from amtts_core.errors import AmttsError

_log = logging.getLogger(__name__)
_CHILD = """
import json, sys
from amtts_core.corpus.importers.parquet_reader import main
main(sys.argv[1], json.load(sys.stdin))
"""


def parquet_entries(
    folder: Path, names: Sequence[str], options: ReadOptions = ReadOptions()
) -> Iterator[Clip | Fault]:
    """Every row of the files under `folder`, in order; where a file ends the reader, the next ones are still read.

    Args:
        folder: the corpus folder.
        names: of the files.
        options: what a person says.

    Raises:
        AmttsError: pyarrow is not installed, or a file has no column of audio or of text.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise AmttsError(
            "parquet and arrow files need pyarrow, which is not installed",
            remedy="Install it with: pip install 'amtts[parquet]'",
        )
    left = list(names)
    while left:
        done, rows = 0, 0  # files before the one at hand; its rows so far
        reader = _start(folder, left, options)
        assert reader.stdout is not None
        assert reader.stderr is not None
        try:
            while True:
                try:
                    number, entry = pickle.load(reader.stdout)
                except (EOFError, pickle.UnpicklingError):
                    break
                if isinstance(entry, AmttsError):
                    raise entry
                if entry is None:
                    done, rows = number, 0
                    continue
                if isinstance(entry, str):
                    _log.info("%s", entry)
                    continue
                rows += 1
                yield entry
            errors = reader.stderr.read().decode(errors="replace")
            code = reader.wait()
        finally:
            reader.kill()
            reader.wait()
            reader.stdout.close()
            reader.stderr.close()
        if code == 0:
            return
        if "Traceback" in errors and code == 1:
            raise RuntimeError(f"reading {left[done]} failed:\n{errors}")
        yield _crash(left[done], rows)
        left = left[done + 1 :]


def _start(folder: Path, names: Sequence[str], options: ReadOptions) -> subprocess.Popen[bytes]:
    reader = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert reader.stdin is not None
    root = options.audio_root
    given = {
        "columns": dict(options.columns),
        "audio_root": str(root.absolute()) if root else None,
        "language": options.language,
        "channel": options.channel,
        "fit": options.fit,
    }
    reader.stdin.write(json.dumps({"names": list(names), "options": given}).encode())
    reader.stdin.close()
    return reader


def _crash(name: str, rows: int) -> Fault:
    reason = f"is damaged so that it cannot be read any further after row {rows}"
    return Fault(where=name, finding=Finding(rule="unreadable", reason=reason), source=name)
