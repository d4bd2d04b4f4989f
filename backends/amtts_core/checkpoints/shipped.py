"""Checkpoints that come along with amtts and are named by a word: `--checkpoint base`."""

from __future__ import annotations

from pathlib import Path

SHIPPED = {"base": "examples/base/voice"}
"""Name -> folder in the checkout; a wheel holds it in `amtts_core/shipped/<name>`."""
_CORE = Path(__file__).parents[1]


def shipped_checkpoint(path: Path) -> Path | None:
    """The folder of a checkpoint that comes along; None where `path` is no such name, or the name of what exists."""
    name = str(path)
    if name not in SHIPPED or path.exists():
        return None
    places = (_CORE / "shipped" / name, _CORE.parents[1] / SHIPPED[name])
    return next((place for place in places if (place / "checkpoint.json").is_file()), None)
