"""Writing a text file so that it is the old or the new one, whole, whatever happens."""

from __future__ import annotations

import contextlib
from pathlib import Path


def replace_text(path: Path, text: str, *, errors: str = "strict") -> None:
    """Writes UTF-8 through a hidden temporary file beside `path`.

    Args:
        path: in a folder that exists.
        text: the whole content.
        errors: what becomes of characters that UTF-8 cannot hold, as for `str.encode`.

    Raises:
        OSError: it cannot be written. What stood there before stays as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", errors=errors)
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
