"""Kinds of stored tokenizers: found by entry point, and a broken package breaks nothing but itself."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer, train_tokenizer
from amtts_core.tokenizers.published.mapping import tokenizer_file
from amtts_core.tokenizers.registry import (
    KINDS,
    check_kind,
    published_formats,
    tokenizer_kinds,
    tokenizer_module,
)

MODULES = {
    "no_load": "",
    "other_format": "def load(folder, settings): ...\nFORMAT = 'json'\n",
    "raising": "raise RuntimeError('no luck')\n",
    "thief": "def load(folder, settings): raise AssertionError\n",
}
TOKENIZERS = {
    "no-load": "no_load",
    "raising": "raising",
    "other-format": "other_format",
    "missing": "nowhere_at_all",
    "fidel": "thief",
    "vits": "thief",
}


@pytest.fixture
def broken(make_package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with broken kinds, and two of names that amtts has."""
    site = make_package("broken", backends={}, tokenizers=TOKENIZERS, modules=MODULES)
    monkeypatch.syspath_prepend(str(site))
    for module in MODULES:
        monkeypatch.delitem(sys.modules, module, raising=False)


def test_the_kinds_of_amtts() -> None:
    kinds = tokenizer_kinds()
    assert kinds[:5] == ["fidel", "unigram", "bpe", "char", "sentencepiece"]
    assert {"hf-json", "hf-plain", "vits"} <= set(kinds)
    for kind in kinds:
        assert callable(tokenizer_module(kind).load)
        assert callable(getattr(tokenizer_module(kind), "add_symbols", None)) == (kind != "hf-plain")
    assert [name for name in kinds if hasattr(tokenizer_module(name), "train")] == list(KINDS)


def test_broken_kinds_are_named_and_break_nothing_else(
    broken: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AmttsError, match=r"kind 'no-load' \(no_load\) does not define 'load'"):
        tokenizer_module("no-load")
    with pytest.raises(
        AmttsError, match=r"kind 'raising' \(raising\) cannot be imported: RuntimeError: no luck"
    ):
        tokenizer_module("raising")
    with pytest.raises(AmttsError, match="kind 'other-format' .* its FORMAT is of type str, expected Tok"):
        tokenizer_module("other-format")
    with pytest.raises(AmttsError, match="unknown tokenizer kind 'vitz' .did you mean 'vits'"):
        tokenizer_module("vitz")
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1}))
    with caplog.at_level(logging.WARNING):
        assert tokenizer_file(tmp_path).description == "a VITS vocab.json"
    assert "kind 'missing' (nowhere_at_all) cannot be imported" in caplog.text


def test_nobody_takes_over_a_kind_of_amtts(broken: None, tmp_path: Path) -> None:
    train_tokenizer("fidel", []).save(tmp_path)
    assert load_tokenizer(tmp_path).kind == "fidel"
    assert tokenizer_module("vits").__name__ == "amtts_vits.tokenizer"


def test_only_kinds_that_can_be_trained_are_offered(broken: None) -> None:
    for kind in ("fidell", "hf-json", "sentencepiece"):
        with pytest.raises(AmttsError, match=f"kind '{kind}'.* Choose one of: fidel, unigram, bpe, char$"):
            check_kind(kind)
    check_kind("bpe")


def test_no_kind_loads_torch() -> None:
    script = (
        "import sys\n"
        "from amtts_core.tokenizers.registry import published_formats, tokenizer_kinds, tokenizer_module\n"
        "published_formats(), [tokenizer_module(kind) for kind in tokenizer_kinds()]\n"
        "print(*sorted({'torch', 'sentencepiece', 'tokenizers', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_published_formats_are_those_of_the_installed_kinds() -> None:
    found = {published.description for published in published_formats()}
    assert found >= {"a SentencePiece model", "a Hugging Face tokenizer", "a VITS vocab.json"}
    assert all(published.file_names for published in published_formats())
