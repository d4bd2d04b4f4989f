"""Reads the data tables that lie beside a language's code. Knows file shapes, no language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def rows(package: str, name: str) -> tuple[tuple[str, ...], ...]:
    """The rows of a tab-separated table; empty lines and lines that start with `#` are comments.

    Args:
        package: import name of the package that holds a `data` folder.
        name: file name inside that folder.
    """
    text = (resources.files(package) / "data" / name).read_text(encoding="utf-8")
    lines = (line.rstrip("\n") for line in text.splitlines())
    return tuple(tuple(line.split("\t")) for line in lines if line.strip() and not line.startswith("#"))


def pairs(package: str, name: str) -> Mapping[str, str]:
    """A two-column table as a mapping of the first column to the second."""
    return {row[0]: row[1] for row in rows(package, name)}


@cache
def document(package: str, name: str) -> Any:
    """A JSON document; treat it as read-only."""
    return json.loads((resources.files(package) / "data" / name).read_text(encoding="utf-8"))


def fold_table(package: str, name: str) -> dict[int, str]:
    """A table `canonical<TAB>variants` as a `str.translate` map from each variant letter to its canonical one."""
    return {ord(variant): row[0] for row in rows(package, name) for variant in row[1] if variant != " "}
