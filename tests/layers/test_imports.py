"""Imports go downwards: no circle, no torch where none is needed, and the linter sees what is forbidden."""

from __future__ import annotations

import ast
import graphlib
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def modules_of(root: Path) -> dict[str, Path]:
    """Name -> file of every module of amtts, those of the program and those in `backends`."""
    found = {}
    for base in (root / "backends", root):
        for file in sorted(base.glob("amtts*/**/*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """Module -> modules that it imports, also inside of functions and for type checking alone."""
    graph: dict[str, set[str]] = {}
    for name, file in modules.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                own = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {one if one in modules else node.module for one in own}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        graph[name] = {one for one in found if one in modules} - {name}
    return graph


def folded(graph: Mapping[str, Iterable[str]], depth: int) -> dict[str, set[str]]:
    """The graph of the folders at a depth of names: 2 is a room of the core."""

    def folder(name: str) -> str:
        return ".".join(name.split(".")[:depth])

    found: dict[str, set[str]] = {}
    for name, targets in graph.items():
        found.setdefault(folder(name), set()).update({folder(one) for one in targets} - {folder(name)})
    return found


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """The modules of one circle; empty where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_files_and_folders_have_no_circle() -> None:
    graph = imports_of(modules_of(ROOT))
    assert len(graph) > 500
    assert circle(graph) == []
    core = {name: found for name, found in graph.items() if name.startswith("amtts_core.")}
    assert circle(folded(core, 2)) == [], "rooms of the core"
    assert circle(folded(graph, 1)) == [], "packages"


def test_the_search_sees_circles(tmp_path: Path) -> None:
    folder = tmp_path / "backends" / "amtts_core"
    for name, source in (
        ("a/x.py", "import amtts_core.b.y"),
        ("a/z.py", ""),
        ("b/y.py", "def f():\n    from amtts_core.a import z"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    graph = imports_of(modules_of(tmp_path))
    assert circle(graph) == []
    assert set(circle(folded(graph, 2))) == {"amtts_core.a", "amtts_core.b"}


# ---- the linter ----

FORBIDDEN = {
    "backends/amtts_vits/network.py": "amtts_chatterbox.voice_encoder",
    "backends/amtts_indextts2/network.py": "amtts_cli.console",
    "backends/amtts_codecs/dac/network.py": "amtts.speech",
    "backends/amtts_core/errors.py": "amtts_core.training.trainer",
    "backends/amtts_core/units.py": "amtts_vits.config",
    "backends/amtts_core/run/lock.py": "amtts_cli.console",
    "backends/amtts_core/nn/ema.py": "amtts_core.speech_lm.sampling",
    "backends/amtts_core/text/rules.py": "amtts_core.tokenizers.fidel",
    "backends/amtts_core/contract/types.py": "amtts_core.text.rules",
    "backends/amtts_core/synthesis/stitch.py": "amtts_core.training.step",
    "amtts/speech.py": "amtts_chatterbox.voice_encoder",
    "amtts_cli/console.py": "amtts_vits.config",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's Python files, to be harmed."""
    root = tmp_path_factory.mktemp("copy")
    for file in [*modules_of(ROOT).values(), ROOT / "pyproject.toml"]:
        target = root / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return root


def lint(root: Path) -> tuple[int, str]:
    """Exit code and report of the linter over a copy."""
    program = textwrap.dedent(
        """
        import sys
        sys.path[:0] = [".", "backends"]
        from importlinter.cli import lint_imports
        sys.exit(lint_imports(cache_dir=".imports"))
        """
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_linter_passes_as_it_is(copy: Path) -> None:
    code, report = lint(copy)
    assert code == 0, report


@pytest.mark.parametrize("file", FORBIDDEN)
def test_the_linter_sees_each_forbidden_import(copy: Path, file: str) -> None:
    path = copy / file
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(f"{before}\nimport {FORBIDDEN[file]}\n", encoding="utf-8")
        code, report = lint(copy)
    finally:
        path.write_text(before, encoding="utf-8")
    assert code == 1, report
    module = ".".join(Path(file).with_suffix("").parts).removeprefix("backends.")
    assert module in report
    assert FORBIDDEN[file] in report


# ---- torch ----

WITHOUT_TORCH = (
    "amtts_core.text.normalizer",
    "amtts_core.text.amharic.g2p",
    "amtts_core.tokenizers.factory",
    "amtts_core.corpus.prepare",
    "amtts_core.audio.io",
    "amtts_core.audio.media",
    "amtts_core.audio.loudness",
    "amtts_core.finetune.vocab.plan",
    "amtts_core.finetune.vocab.sounds",
    "amtts_core.contract.registry",
    "amtts_core.config.run_config",
)


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_what_needs_no_torch_loads_none(module: str) -> None:
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or f"{module} loads torch"
