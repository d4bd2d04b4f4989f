"""A package of someone else offers `extend-vocab`, `--from` and `export` for its own published weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_voice import make_corpus

from amtts_cli import console
from amtts_cli.app import main

Run = Callable[..., tuple[int, str, str]]
SOURCES = Path(__file__).resolve().parents[3] / "support" / "third_party"
OLD = ["<toy>", *"abcdefghijklmnopqrstuvwxyz '.,?!"]


@pytest.fixture
def run(
    make_package: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Run]:
    """Runs `amtts ARGUMENTS` where the package is installed; returns exit code, standard output and error."""
    names = ("toy_family", "toy_tokenizer")
    site = make_package(
        "toy-tts",
        backends={"toy": "toy_family:ToyBackend"},
        tokenizers={"toy-lines": "toy_tokenizer"},
        modules={name: (SOURCES / f"{name}.py").read_text(encoding="utf-8") for name in names},
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        console.use_json(False)
        try:
            main(list(map(str, arguments)))
            code: Any = 0
        except SystemExit as stop:
            code = stop.code
        shown = capsys.readouterr()
        return code or 0, shown.out, shown.err

    yield call
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Published weights with their config and tokenizer."""
    folder = tmp_path / "published"
    folder.mkdir()
    torch.manual_seed(0)
    shapes = {"tok": (len(OLD), 6), "out": (len(OLD), 6), "shift": (len(OLD),), "loud": (1, 6)}
    save_file({name: torch.randn(shape) for name, shape in shapes.items()}, folder / "voice.safetensors")
    (folder / "config.json").write_text(json.dumps({"text": {"size": len(OLD)}, "other": {"size": 7}}))
    (folder / "symbols.txt").write_text("\n".join(OLD))
    return folder


def test_from_published_weights_to_an_export(run: Run, published: Path, tmp_path: Path) -> None:
    def done(*arguments: object) -> str:
        code, out, err = run(*arguments)
        assert code == 0, err
        return out

    done("extend-vocab", "--backend", "toy-tts", "--checkpoint", published, "--tokenizer", published,
        "--add", "fidel", "--out", "extended")  # fmt: skip
    extended = tmp_path / "extended"
    report = json.loads((extended / "vocab_report.json").read_text(encoding="utf-8"))
    assert (report["backend"], report["kept"], report["new"]) == ("toy", len(OLD), 358)
    assert report["old_text"]["compared_through"] == "network"
    assert not report["ethiopic_letters_still_unknown"]
    before, after = (load_file(folder / "voice.safetensors") for folder in (published, extended))
    for name in ("tok", "out", "shift"):
        assert torch.equal(after[name][: len(OLD)], before[name])
        assert len(after[name]) == len(OLD) + 358
    assert torch.equal(after["loud"], before["loud"])
    config = json.loads((extended / "config.json").read_text(encoding="utf-8"))
    assert config == {"text": {"size": len(OLD) + 358}, "other": {"size": 7}}

    corpus = make_corpus(tmp_path / "corpus", train_items=4, val_items=1)
    done("train", "--data", corpus, "--from", extended, "--out", "run",
        "--set", "training.freeze.original_tokens=true", "--set", "training.optim.learning_rate=0.1")  # fmt: skip
    done("export", "--checkpoint", "run", "--format", "toy", "--out", "exported")
    trained = load_file(tmp_path / "exported" / "voice.safetensors")
    assert torch.equal(trained["tok"][: len(OLD)], before["tok"])
    assert not torch.equal(trained["loud"], before["loud"])
    info = json.loads(next((tmp_path / "run" / "checkpoints").glob("*/checkpoint.json")).read_text())
    assert info["base_weights_license"] == "Toy License 1.0"
    assert info["tokenizer_kind"] == "toy-lines"
    assert info["new_tokens"] == list(range(len(OLD), len(OLD) + 358))

    grown = done("extend-vocab", "--backend", "toy", "--checkpoint", "exported", "--tokenizer", "exported",
                "--add", "ŋ", "--out", "twice")  # fmt: skip
    assert f"{len(OLD) + 358} text tokens before, {len(OLD) + 359} after" in grown
    own = next((tmp_path / "run" / "checkpoints").glob("*/tokenizer"))
    done(
        "extend-vocab",
        "--backend",
        "toy",
        "--checkpoint",
        "run",
        "--tokenizer",
        own,
        "--add",
        "ŋ",
        "--out",
        "own",
    )
    assert json.loads((tmp_path / "own" / "vocab_report.json").read_text())["new"] == 1


def test_its_tokenizers_are_trained_and_read(run: Run, published: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=4, val_items=1)
    for number, choice in enumerate((("--kind", "toy-lines"), ("--backend", "toy", "--kind", "char"))):
        out = tmp_path / f"tokenizer{number}"
        code, _, err = run("tokenize", "--data", corpus, *choice, "--out", out, "--max-unk", 1)
        assert code == 0, err
        assert json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))["kind"] == "toy-lines"
    code, shown, _ = run(
        "tokenize", "--data", corpus, "--tokenizer", published / "symbols.txt", "--max-unk", 1
    )
    assert code == 0
    assert f"toy-lines tokenizer with {len(OLD)} symbols" in shown


def test_its_tokenizer_without_the_package(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "corpus", train_items=4, val_items=1)
    run("tokenize", "--data", corpus, "--kind", "toy-lines", "--out", "tokenizer", "--max-unk", 1)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-toy-tts" not in path])
    code, _, err = run("tokenize", "--data", corpus, "--tokenizer", "tokenizer")
    assert code == 2
    assert "unknown kind 'toy-lines'" in err
    assert "Install the package that made it" in err


def test_refusals_are_those_of_every_family(run: Run, published: Path, tmp_path: Path) -> None:
    options = [
        "--checkpoint",
        published,
        "--tokenizer",
        published,
        "--add",
        "fidel",
        "--out",
        tmp_path / "new",
    ]
    for change, message in (
        (("--backend", "chatterbox"), "no weights of backend 'chatterbox'"),
        (("--backend", "toi"), "did you mean 'toy'?). Choose one of: chatterbox, indextts2, toy, vits"),
        (("--backend", "toy", "--mode", "reuse"), "--mode reuse: backend 'toy' knows extend"),
        (("--backend", "toy", "--language-tag", "am"), "the toy has no language tags"),
    ):
        code, _, err = run("extend-vocab", *options, *change)
        assert code == 2
        assert message in err
        assert not (tmp_path / "new").exists()
