"""docs/figures.yaml: every figure stands where it is said to stand, and docs/figures.md is what the script writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "scripts/figures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_stands_where_the_table_says(script: ModuleType) -> None:
    assert script.misplaced(script.read()) == []


def test_the_page_is_what_the_script_writes(script: ModuleType) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.page(script.read())


def test_a_page_that_says_something_else_is_named(script: ModuleType) -> None:
    figure = {**script.read()[0], "text": "0.00001 %"}
    assert script.misplaced([figure]) == [
        f"{figure['id']}: {p} does not state '0.00001 %'" for p in figure["pages"]
    ]


def test_an_old_figure_is_named(script: ModuleType) -> None:
    figure = {**script.read()[0], "date": "2020-01-01"}
    assert any("days old" in line for line in script.ages([figure]))


def test_a_new_measurement_changes_one_figure_and_keeps_the_comments(script: ModuleType) -> None:
    source = script.SOURCE.read_text(encoding="utf-8")
    before = yaml.safe_load(source)
    for name in (before[0]["id"], before[-1]["id"]):
        after = script.replaced(source, name, {"text": "ሁለት: 2 %", "seconds": 7})
        assert after.startswith("# The figures")
        expected = [{**f, "text": "ሁለት: 2 %", "seconds": 7} if f["id"] == name else f for f in before]
        assert yaml.safe_load(after) == expected
