"""100 random vocabularies through the whole operation: no old id moves, no row is lost, nothing Ethiopic is unknown."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer
from vocabularies import (
    FAMILIES,
    LATIN,
    declare,
    hf_data,
    indextts2_weights,
    published_of,
    sentencepiece_bytes,
    write_json,
)

from amtts_core.finetune.vocab.extend import ExtendRequest, extend_vocabulary
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.published.mapping import load_vocab_mapping

SIGNS = st.lists(
    st.sampled_from(LATIN + LATIN.upper() + "你好世界éñ.,!?ʃə'"), min_size=4, max_size=40, unique=True
)
TEXTS = st.lists(
    st.text(st.sampled_from(LATIN + LATIN.upper() + "你好世界 .,!é1+[]"), max_size=20), max_size=4
)


def make_old(folder: Path, family: str, signs: list[str], longer: list[str], seed: int) -> Path:
    """Random tables for a vocabulary of these tokens; the tokenizer file."""
    if family == "chatterbox":
        pairs = [piece for piece in longer if len(piece) == 2 and set(piece) <= set(signs)]
        path = write_json(folder / "mtl.json", hf_data([*signs, *pairs], [" ".join(pair) for pair in pairs]))
    elif family == "indextts2":
        pieces = [(name, -float(rank)) for rank, name in enumerate([*longer, "▁", *signs])]
        path = folder / "bpe.model"
        path.write_bytes(sentencepiece_bytes(pieces))
    else:
        lower = dict.fromkeys(sign.lower() for sign in signs)
        path = write_json(folder / "vocab.json", {sign: number for number, sign in enumerate(lower)})
    source = torch.Generator().manual_seed(seed)
    size = len(load_vocab_mapping(path))
    if family == "indextts2":
        weights = indextts2_weights(size, seed=seed)
    else:
        weights = {
            rows.tensor: torch.randn(size, 6, generator=source) for rows in published_of(family).text_tensors
        }
    save_file(weights, folder / "model.safetensors")
    return path


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=34, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    signs=SIGNS,
    longer=st.lists(st.text(st.sampled_from(LATIN.upper()), min_size=2, max_size=3), max_size=6, unique=True),
    texts=TEXTS,
    seed=st.integers(0, 1000),
)
def test_any_vocabulary(
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    signs: list[str],
    longer: list[str],
    texts: list[str],
    seed: int,
) -> None:
    declare(monkeypatch, family, probe=None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = make_old(folder, family, signs, longer, seed)
        request = ExtendRequest(
            backend=family,
            checkpoint=folder / "model.safetensors",
            tokenizer=tokenizer,
            add="fidel",
            out=folder / "new",
            seed=seed,
        )
        report = extend_vocabulary(request)
        old, new = load_vocab_mapping(tokenizer), load_vocab_mapping(folder / "new" / tokenizer.name)
        before, after = (
            load_file(folder / "model.safetensors"),
            load_file(folder / "new" / "model.safetensors"),
        )
        assert set(old) <= set(new)
        assert sum(new[token] != number for token, number in old.items()) == report["moved"]
        assert report["moved"] == 0 or family == "vits"
        for rows in published_of(family).text_tensors:
            for token, number in old.items():
                assert torch.equal(before[rows.tensor][number], after[rows.tensor][new[token]])
            fresh = after[rows.tensor][list(report["new_tokens"].values())]
            assert len(after[rows.tensor]) == len(new) + rows.num_extra_rows
            assert len(fresh.unique(dim=0)) == len(fresh) or rows.kind == "bias"
        own = load_tokenizer(folder / "new" / "tokenizer")
        assert not [sign for sign in ethiopic_alphabet() if own.unk_id in own.encode(sign)]
        path = folder / "new" / tokenizer.name
        for text in texts:
            if family == "chatterbox":
                assert (
                    Tokenizer.from_file(str(tokenizer)).encode(text).ids
                    == Tokenizer.from_file(str(path)).encode(text).ids
                )
            elif family == "indextts2":
                first = SentencePieceProcessor(model_file=str(tokenizer))
                assert first.encode(text) == SentencePieceProcessor(model_file=str(path)).encode(text)
