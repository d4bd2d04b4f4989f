"""Finds backends by entry point and imports only the chosen one; third-party ones register alike."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.check import faults_of_backend
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


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    """All registrations, amtts' own first, so that no other package takes over one of its names."""
    points = importlib.metadata.entry_points(group=GROUP)
    return sorted(points, key=lambda point: (_distribution(point) != "amtts", point.name))


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    try:
        return (point.dist.name if point.dist else "") or "?"
    except Exception:  # noqa: BLE001 - a package without metadata must not hide the others
        return "?"


def _by_name() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in reversed(_entry_points())}


def backend_names() -> list[str]:
    """Names of all registered backends, without importing any."""
    return sorted(_by_name())


def _checked(point: importlib.metadata.EntryPoint) -> type[Backend]:
    loaded = point.load()
    if faults := faults_of_backend(loaded):
        raise TypeError("; ".join(faults))
    return loaded


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def list_backends() -> list[BackendEntry]:
    """All registered backends; one that fails to import is listed with its reason and breaks nothing else."""
    entries: dict[str, list[BackendEntry]] = {}
    for point in _entry_points():
        spec, problem, distribution = None, "", _distribution(point)
        same_name = entries.setdefault(point.name, [])
        if same_name:
            problem = f"the name is taken by {same_name[0].target} of {same_name[0].distribution}"
        else:
            try:
                spec = _checked(point).spec
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way
                problem = _reason(error)
        same_name.append(BackendEntry(point.name, point.value, distribution, spec, problem))
    return [entry for _, same_name in sorted(entries.items()) for entry in same_name]


def get_backend(name: str) -> type[Backend]:
    """The backend class called `name`.

    Raises:
        AmttsError: there is none of that name, or its import fails.
    """
    points = _by_name()
    if name not in points:
        installed = ", ".join(sorted(points)) or "none"
        raise AmttsError(
            f"unknown backend '{name}'{nearest(name, points)}; installed: {installed}",
            remedy="List them with: amtts backends",
        )
    try:
        return _checked(points[name])
    except (Exception, SystemExit) as error:
        raise AmttsError(
            f"backend '{name}' ({points[name].value}) cannot be imported: {_reason(error)}",
            remedy="See: amtts backends",
        ) from error
