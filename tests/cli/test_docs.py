"""The generated pages and the README say what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from amtts_cli.app import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "backends" / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]


def test_generated_pages_are_fresh() -> None:
    script = ROOT / "scripts" / "make_docs.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_make_help_lists_the_daily_verbs() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for verb in ("setup", "demo", "test", "lint", "types", "docs", "wheel", "bench"):
        assert re.search(rf"^make {verb} ", done.stdout, re.MULTILINE), verb


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_name_only_what_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for command in re.findall(r"^ {4,}(?:\$ )?amtts ([a-z][a-z0-9-]*)", text, re.MULTILINE):
        assert command in COMMANDS, f"{page.name} shows `amtts {command}`"
    for verb in re.findall(r"`make ([a-z]+)`", text):
        assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE), (
            f"{page.name} shows `make {verb}`"
        )


def test_every_setting_has_a_meaning_in_the_reference() -> None:
    for row in re.findall(
        r"^\| `.*\|$", (ROOT / "docs" / "config.md").read_text(encoding="utf-8"), re.MULTILINE
    ):
        assert row.split("|")[-2].strip(), row
