"""Commands of a documentation page, as a reader would type them: every line of its ```sh blocks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def commands_of(page: str) -> list[list[str]]:
    """Every command of a page of docs/, split as a shell splits it; a backslash joins lines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]
