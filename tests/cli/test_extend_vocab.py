"""`amtts extend-vocab` as a user runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vocabularies import (
    chatterbox_data,
    indextts2_model,
    mms_list,
    write_gpt,
    write_json,
    write_t3,
    write_vits,
)

from amtts_cli import console
from amtts_cli.app import main
from amtts_core.tokenizers.published.mapping import load_vocab_mapping

Run = Callable[..., tuple[int, str, str]]
SIZE = len(chatterbox_data()["model"]["vocab"])


@pytest.fixture
def old(tmp_path: Path) -> list[object]:
    """Options that name a tiny Chatterbox."""
    write_json(tmp_path / "old" / "mtl.json", chatterbox_data())
    checkpoint = write_t3(tmp_path / "old", SIZE)
    return [
        "--backend",
        "chatterbox",
        "--checkpoint",
        checkpoint,
        "--tokenizer",
        tmp_path / "old" / "mtl.json",
    ]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        console.use_json(False)
        try:
            main(["extend-vocab", *map(str, arguments)])
            code: Any = 0
        except SystemExit as stop:
            code = stop.code
        shown = capsys.readouterr()
        return code or 0, shown.out, shown.err

    return call


def test_it_says_what_became_of_every_row(old: list[object], run: Run, tmp_path: Path) -> None:
    code, out, _ = run(*old, "--add", "fidel", "--language-tag", "am", "--out", tmp_path / "new")
    assert code == 0
    assert f"{SIZE} text tokens before, {SIZE + 359} after: {SIZE} kept, 0 moved, 359 new, 0 dropped" in out
    assert "ሉ" in out
    assert "every Ethiopic letter can be written" in out
    assert "old text: same ids; 24 texts through the network, largest difference" in out


def test_json_and_few_symbols(old: list[object], run: Run, tmp_path: Path) -> None:
    (tmp_path / "wanted.txt").write_text("ሀ\nለ\n\nሐ\n", encoding="utf-8")
    code, out, _ = run(
        *old, "--add", tmp_path / "wanted.txt", "--mode", "reuse", "--out", tmp_path / "new", "--json"
    )
    values = json.loads(out)
    assert code == 0
    assert values["new"] == values["dropped"] == 3
    assert values["new_size"] == SIZE
    assert len(values["ethiopic_letters_still_unknown"]) == 346
    code, out, _ = run(*old, "--add", "ሀ,ለ abc", "--init", "zero", "--out", tmp_path / "other")
    assert code == 0
    assert "left out: 1 symbols" in out
    assert "2 zero" in out


def test_a_wrong_pairing_is_one_line_with_both_numbers(old: list[object], run: Run, tmp_path: Path) -> None:
    other = write_t3(tmp_path / "other", SIZE - 1)
    old[3] = other
    code, _, err = run(*old, "--add", "fidel", "--out", tmp_path / "new")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert f"rows for {SIZE - 1} text tokens" in err
    assert f"tokenizer of {SIZE}" in err
    assert not (tmp_path / "new").exists()
    assert run(*old, "--add", "fidel", "--out", tmp_path / "new", "--init", "magic")[0] == 2
    assert run("--backend", "chatterbox", "--checkpoint", tmp_path / "none", "--tokenizer", "x", "--add", "cv",
               "--out", tmp_path / "new")[0] == 2  # fmt: skip


def test_the_commands_of_the_page_run_as_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = chatterbox_data()
    names = data["model"]["vocab"]
    for code in range(0x1E00, 0x2000):  # precomposed Latin and Greek, which NFKD takes apart
        names[chr(code)] = len(names)
    write_json(tmp_path / "grapheme_mtl_merged_expanded_v1.json", data)
    write_t3(tmp_path, len(names)).rename(tmp_path / "t3_mtl23ls_v2.safetensors")
    (tmp_path / "bpe.model").write_bytes(indextts2_model())
    write_gpt(tmp_path, len(load_vocab_mapping(tmp_path / "bpe.model")))
    write_vits(tmp_path / "mms-tts-amh", mms_list())
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).resolve().parents[2] / "docs" / "vocabulary.md"
    commands = re.findall(r"^    amtts extend-vocab (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        code, out, err = run(*command.split())
        assert code == 0, err
        assert "through the network" in out
    sizes = {
        folder: json.loads((tmp_path / folder / "vocab_report.json").read_text(encoding="utf-8"))["new_size"]
        for folder in ("chatterbox-am", "chatterbox-am-2454")
    }
    assert sizes == {"chatterbox-am": len(names) + 359, "chatterbox-am-2454": len(names)}


def test_an_empty_addition_is_named(run: Run, old: list[object], tmp_path: Path) -> None:
    code, _, said = run(*old, "--add", "", "--out", tmp_path / "new")
    assert code == 2
    assert "--add '' holds no symbol" in said
    assert not (tmp_path / "new").exists()
