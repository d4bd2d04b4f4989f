"""The package in backends/README.md, built from that page: found, held to the contract, trained, spoken, extended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from command_line import call
from tiny_voice import make_corpus

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.contract.registry import list_backends

README = (Path(__file__).parents[2] / "backends" / "README.md").read_text(encoding="utf-8")
MODULE, NAME = "amtts_toy_lstm", "toy-lstm"
MOST_LINES = 120


def block(title: str) -> str:
    """The code under a file's name."""
    found = re.search(rf"^`{re.escape(title)}`:\n\n```\w+\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found, f"backends/README.md shows no {title}"
    return found[1]


@pytest.fixture
def installed(make_package: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, installed with the entry points of its pyproject.toml."""
    project = tomllib.loads(block("pyproject.toml"))["project"]
    site: Path = make_package(
        project["name"],
        backends=project["entry-points"]["amtts.backends"],
        modules={MODULE: block(f"{MODULE}/__init__.py")},
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return site


def test_it_is_short() -> None:
    assert len(block(f"{MODULE}/__init__.py").splitlines()) <= MOST_LINES


def test_it_trains_speaks_and_is_extended(installed: Path, tmp_path: Path) -> None:
    entry = next(entry for entry in list_backends() if entry.name == NAME)
    assert (entry.problem, entry.distribution) == ("", "amtts-toy-lstm")
    data = make_corpus(tmp_path / "data", speakers=("almaz", "bekele"))
    run, wave = tmp_path / "run", tmp_path / "hello.wav"
    trained = call(
        *("train", "--backend", NAME, "--data", data, "--out", run, "--max-steps", 60),
        *("--set", "training.validate_every=60", "--set", "training.tensorboard=false"),
    )
    assert trained.code == 0, trained.err
    text = "ሰላም ለዓለም።"
    spoken = call("synthesize", text, "--checkpoint", run, "--speaker", "bekele", "--out", wave, "--json")
    assert spoken.code == 0, spoken.err
    assert soundfile.info(wave).duration == pytest.approx(0.1 * len(text), rel=0.5)
    unknown = call("synthesize", text, "--checkpoint", run, "--speaker", "zzz", "--out", wave)
    unknown.refused("unknown speaker 'zzz'", "almaz, bekele")
    extended = call(
        *("extend-vocab", "--backend", NAME, "--checkpoint", run, "--tokenizer", data / "tokenizer"),
        *("--add", "ʕ", "--out", tmp_path / "extended"),
    )
    assert extended.code == 0, extended.err
    before, after = (read_checkpoint(folder).weights() for folder in (run, tmp_path / "extended"))
    table = "embedding.weight"
    assert len(after[table]) == len(before[table]) + 1
    assert torch.equal(after[table][: len(before[table])], before[table])


@pytest.mark.slow
def test_it_holds_the_contract_with_one_line(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pyargs", "amtts_core.testing", "-v"],
        env={**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"test_contract[{NAME}-speed] PASSED" in done.stdout
    assert f"test_contract[{NAME}-text matters] PASSED" in done.stdout
    assert "vits" not in done.stdout, "those of amtts are tested by amtts"
