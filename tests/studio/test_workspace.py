"""Paths that forms name stay in the workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from amtts_cli.studio.workspace import Workspace
from amtts_core.errors import AmttsError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "w")


@pytest.mark.parametrize(
    "given",
    [
        "../../x",
        "a/../../x",
        "/etc/passwd",
        "..",
        ".",
        "",
        "   ",
        "link/x",
        "x\0y",
        ".studio/jobs/x.json",
        "a/.hidden",
        "--out",
        "a/-x",
        "x" * 5000,
        "~/x/../../../x",
    ],
)
def test_hostile_paths_are_refused_in_one_line(workspace: Workspace, given: str):
    (workspace.root / "link").symlink_to("/etc")
    with pytest.raises(AmttsError) as caught:
        workspace.path(given, what="the folder")
    assert str(caught.value).startswith("the folder")
    assert "\n" not in str(caught.value)


def test_relative_and_absolute_names_mean_the_same(workspace: Workspace):
    assert workspace.path("a/b") == workspace.path(workspace.root / "a" / "b")
    assert workspace.name(workspace.path("a/./b/../b")) == "a/b"


def test_what_is_there_is_found_by_kind_the_newest_first(workspace: Workspace):
    for name in ("one", "deep/two"):
        (workspace.root / name).mkdir(parents=True)
        (workspace.root / name / "train.jsonl").write_text("")
    (workspace.root / "deep" / "two" / "tokenizer").mkdir()
    (workspace.root / "deep" / "two" / "tokenizer" / "tokenizer.json").write_text("{}")
    assert sorted(workspace.find("corpus")) == ["deep/two", "one"]
    assert workspace.find("tokenizer") == ["deep/two/tokenizer"]
    assert workspace.find("run") == []
    with pytest.raises(AmttsError, match="is there already"):
        workspace.new("one")
    assert workspace.free_name("one") == "one-2"


def test_a_file_is_no_workspace(tmp_path: Path):
    (tmp_path / "f").write_text("")
    with pytest.raises(AmttsError, match="is a file"):
        Workspace.open(tmp_path / "f")
