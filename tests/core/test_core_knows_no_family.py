"""The core's code names no model family: everything about one is in its backend."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import amtts_core

FAMILY = re.compile(r"chatterbox|indextts|\bvits|\bmms-tts\b|\bt3\b", re.IGNORECASE)


def names_and_strings(tree: ast.Module) -> set[str]:
    """Identifiers and string constants of a module, without its docstrings."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return found | {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    }


def test_no_name_and_no_string_of_the_core_is_a_family() -> None:
    (root,) = amtts_core.__path__
    files = sorted(Path(root).rglob("*.py"))
    assert len(files) > 100
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    found = {
        f"{file.relative_to(root)}: {name[:60]!r}"
        for file, tree in trees.items()
        for name in names_and_strings(tree)
        if FAMILY.search(name)
    }
    assert found == set()


def test_the_check_sees_a_family() -> None:
    tree = ast.parse('"""Of VITS."""\nFILES = ("t3",)\nclass VitsList: ...\nname = "mms-tts"\n')
    assert {name for name in names_and_strings(tree) if FAMILY.search(name)} == {"t3", "mms-tts", "VitsList"}
