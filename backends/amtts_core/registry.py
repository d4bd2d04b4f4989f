"""Finds backends by entry point and imports only the chosen one. A third-party package registers the same way."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from amtts_core.backend import Backend, BackendSpec
from amtts_core.errors import AmttsError, nearest

GROUP = "amtts.backends"


@dataclass(frozen=True)
class BackendEntry:
    """An installed backend: its name, where it comes from, and why it cannot be used (empty if it can)."""

    name: str
    target: str
    distribution: str
    spec: BackendSpec | None = None
    problem: str = ""


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


def backend_names() -> list[str]:
    """Names of all registered backends, without importing any."""
    return sorted(_entry_points())


def _checked(point: importlib.metadata.EntryPoint) -> type[Backend]:
    loaded = point.load()
    if not isinstance(getattr(loaded, "spec", None), BackendSpec):
        raise TypeError(f"{point.value} has no `spec` of type BackendSpec")
    return loaded


def list_backends() -> list[BackendEntry]:
    """All registered backends; one that fails to import is listed with its reason and breaks nothing else."""
    entries = []
    for name, point in sorted(_entry_points().items()):
        distribution = point.dist.name if point.dist else "?"
        try:
            spec, problem = _checked(point).spec, ""
        except Exception as error:  # noqa: BLE001 - a plugin may fail in any way; its reason is the output
            spec, problem = None, f"{type(error).__name__}: {' '.join(str(error).split())}"
        entries.append(BackendEntry(name, point.value, distribution, spec, problem))
    return entries


def get_backend(name: str) -> type[Backend]:
    """The backend class called `name`.

    Raises:
        AmttsError: there is none of that name, or its import fails.
    """
    points = _entry_points()
    if name not in points:
        raise AmttsError(
            f"unknown backend '{name}'{nearest(name, points)}; installed: {', '.join(sorted(points)) or 'none'}",
            remedy="List them with: amtts backends",
        )
    try:
        return _checked(points[name])
    except Exception as error:
        raise AmttsError(
            f"backend '{name}' ({points[name].value}) cannot be imported: {type(error).__name__}: {error}",
            remedy="See: amtts backends",
        ) from error
