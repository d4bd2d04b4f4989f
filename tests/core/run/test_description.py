"""What a checkpoint says about its origin."""

from __future__ import annotations

import subprocess
from pathlib import Path

from amtts_core.run.description import git_revision


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", folder, *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_revision_is_that_of_the_repository_that_holds_the_code(tmp_path: Path) -> None:
    module = tmp_path / "package/module.py"
    module.parent.mkdir()
    module.write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "a")
    assert git_revision(module) == git(tmp_path, "rev-parse", "HEAD")


def test_an_installed_package_has_no_revision_of_the_repository_around_it(tmp_path: Path) -> None:
    """A virtual environment inside of somebody's project folder."""
    git(tmp_path, "init", "-q")
    (tmp_path / "own.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "theirs")
    installed = tmp_path / ".venv/lib/site-packages/amtts_core/module.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    assert git_revision(installed) == ""
    assert git_revision(tmp_path / "nowhere/module.py") == ""
