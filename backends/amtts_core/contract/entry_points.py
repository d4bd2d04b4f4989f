"""Plug-ins of one entry-point group: their names without importing any, and the chosen one imported."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from amtts_core.errors import AmttsError, nearest


def entry_points(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """Name -> registration, sorted by name; of several of one name, that of amtts wins."""
    ordered = sorted(
        importlib.metadata.entry_points(group=group), key=lambda point: (point.name, _is_ours(point))
    )
    return {point.name: point for point in ordered}


def load_entry_point(group: str, name: str, *, what: str) -> Any:
    """What is registered as `name`, imported.

    Args:
        group: of entry points.
        name: of the registration.
        what: the plug-in for messages, such as "codec".

    Raises:
        AmttsError: there is none of that name, or its import fails.
    """
    points = entry_points(group)
    if name not in points:
        installed = ", ".join(points) or "none"
        raise AmttsError(f"unknown {what} '{name}'{nearest(name, points)}; installed: {installed}")
    try:
        return points[name].load()
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise AmttsError(f"{what} '{name}' ({points[name].value}) cannot be imported: {reason}") from error


def _is_ours(point: importlib.metadata.EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "amtts"
