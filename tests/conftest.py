"""What every test may use: the `amtts` program as a user runs it, and packages that register a backend."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import hypothesis
import pytest

# The same examples on every run and machine; AMTTS_EXPLORE=1 looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)
if not os.environ.get("AMTTS_EXPLORE"):
    hypothesis.settings.load_profile("repeatable")

# Kernels of plain torch, so that no test depends on what is fastest here; tests of the choice change this.
os.environ["AMTTS_KERNELS"] = "plain"

Amtts = Callable[..., "subprocess.CompletedProcess[str]"]
MakePackage = Callable[..., Path]

TOY_BACKEND = '''
from pydantic import Field
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.settings import Settings


class ToyConfig(Settings):
    """The toy's network."""

    width: int = Field(8, gt=0, description="channels")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of zeroed activations")


class ToyBackend(Backend[ToyConfig]):
    """Declares itself and does nothing."""

    spec = BackendSpec(
        name="toy",
        summary="a toy: it learns nothing",
        sample_rate=16000,
        learns_from="mel",
        config=ToyConfig,
        presets={"tiny": {}, "wide": {"width": 64}},
        training_defaults={
            "training": {"max_steps": 7, "optim": {"learning_rate": 0.5}},
            "data": {"batch_seconds": 11},
        },
    )

    def build_network(self):
        raise NotImplementedError

    features = collate = learner = synthesize = build_network
'''


@pytest.fixture
def amtts() -> Amtts:
    """Runs `amtts ARGUMENTS` in a process of its own: `amtts("backends", env={...}, cwd=...)`."""

    def run(
        *arguments: object,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "amtts_cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(env or {})},
            cwd=cwd,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def make_package(tmp_path: Path) -> MakePackage:
    """Makes a folder that looks like an installed package with backends; put it on the path to install it."""

    def make(
        name: str,
        *,
        backends: Mapping[str, str],
        modules: Mapping[str, str],
        tokenizers: Mapping[str, str] | None = None,
        metadata: bool = True,
    ) -> Path:
        site = tmp_path / f"site-{name}"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        groups = {"amtts.backends": backends, "amtts.tokenizers": tokenizers or {}}
        points = (
            f"[{group}]\n" + "".join(f"{key} = {target}\n" for key, target in found.items())
            for group, found in groups.items()
        )
        (info / "entry_points.txt").write_text("\n".join(points))
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
        return site

    return make


@pytest.fixture
def toy(make_package: MakePackage, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a third-party backend that is installed in this process for one test."""
    site = make_package(
        "amtts-toy", backends={"toy": "amtts_toy:ToyBackend"}, modules={"amtts_toy": TOY_BACKEND}
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "amtts_toy", raising=False)
    return "toy"
