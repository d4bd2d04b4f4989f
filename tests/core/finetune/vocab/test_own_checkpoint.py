"""Checkpoints of amtts grow by the same rules, whatever backend and tokenizer made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recordings import SENTENCES

from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.checkpoints.write_backend import write_backend
from amtts_core.contract.registry import get_backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab.extend import ExtendRequest, extend_vocabulary
from amtts_core.tokenizers.factory import load_tokenizer, train_tokenizer

BACKEND = "chatterbox-mel"


def write_voice(folder: Path, tokenizer: TextTokenizer) -> dict[str, Any]:
    """An untrained checkpoint, and the options that name it."""
    kind = get_backend(BACKEND)
    config = kind.spec.config.model_validate(
        {"hidden": 16} if "hidden" in kind.spec.config.model_fields else {}
    )
    torch.manual_seed(0)
    backend = kind(config, tokenizer=tokenizer)
    write_backend(folder / "old", backend, untrained_tokens=[5])
    old = folder / "old"
    return {"backend": BACKEND, "checkpoint": old, "tokenizer": old / "tokenizer", "out": folder / "new"}


@pytest.mark.parametrize("kind", ["fidel", "unigram", "char"])
def test_a_voice_of_our_own_grows(tmp_path: Path, kind: str) -> None:
    tokenizer = train_tokenizer(kind, list(SENTENCES) * 3)
    options = write_voice(tmp_path, tokenizer)
    report = extend_vocabulary(ExtendRequest(**options, add="ā,ē,ñ,ሰላ"))
    new = load_tokenizer(options["out"] / "tokenizer")
    assert new.kind == kind
    assert new.symbols()[: tokenizer.vocab_size] == tokenizer.symbols()
    assert new.symbols()[tokenizer.vocab_size :] == list("āēñ")
    assert "ሰላ" in report["left_out"]  # it can be written, and old text must be cut as before
    assert new.unk_id not in new.encode("ሰላም ā ē ñ")
    checkpoint = read_checkpoint(options["out"])
    assert report["old_text"]["compared_through"] == "network"
    assert report["old_text"]["sequences"] == 3
    assert report["old_text"]["max_abs_diff"] < 1e-5
    assert checkpoint.info.new_tokens == list(range(tokenizer.vocab_size, new.vocab_size))
    assert checkpoint.info.vocab_size == new.vocab_size
    assert checkpoint.info.untrained_tokens == [5, *range(tokenizer.vocab_size, new.vocab_size)]
    backend = checkpoint.load_backend()
    first, second = read_checkpoint(options["checkpoint"]).weights(), checkpoint.weights()
    for rows in backend.text_tensors():
        assert len(second[rows.tensor]) == len(first[rows.tensor]) + 3
        assert torch.equal(second[rows.tensor][: len(first[rows.tensor])], first[rows.tensor])
    assert all(torch.equal(first[name], second[name]) for name in first if name not in report["tensors"])


def test_wrong_pairings(tmp_path: Path) -> None:
    options = write_voice(tmp_path, train_tokenizer("fidel", []))
    other = train_tokenizer("char", list(SENTENCES) * 3)
    other.save(tmp_path / "other")
    for change, message in (
        ({"tokenizer": tmp_path / "other"}, f"{other.vocab_size} symbols, the one of checkpoint"),
        ({"backend": "mel-codes"}, f"is of backend '{BACKEND}', not 'mel-codes'"),
        ({"backend": "vitz"}, "vitz"),
        ({"add": "fidel"}, "nothing to add"),
        ({"mode": "reuse"}, "--mode: only for published files"),
        ({"init": "magic"}, "--init magic"),
    ):
        with pytest.raises(AmttsError, match=message):
            extend_vocabulary(ExtendRequest(**{"add": "ā", **options, **change}))
        assert not options["out"].exists()
    assert not list(tmp_path.glob(".*"))
