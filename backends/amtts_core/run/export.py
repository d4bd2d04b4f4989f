"""A network in a foreign format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError, nearest


def export_network(backend: Backend[Any], folder: Path, *, format: str) -> None:
    """Writes the backend's network into a folder.

    Raises:
        AmttsError: a format that the backend does not write; names those it writes.
    """
    declared = backend.spec.export
    known = declared.formats if declared else ()
    if declared is None or format not in known:
        raise AmttsError(
            f"backend '{backend.spec.name}' cannot be exported as '{format}'{nearest(format, known)}; "
            f"known formats: {', '.join(known) or 'none'}"
        )
    declared.of(backend).export(folder, format=format)
