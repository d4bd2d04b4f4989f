"""Rows follow their token; new rows are what the chosen init says, in every table."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amtts_core.finetune.vocab.initialize import INITS, InitSource, choose_sources, initial_embedding
from amtts_core.finetune.vocab.plan import plan_tokens
from amtts_core.finetune.vocab.resize import resize_linear_layer, resize_token_embeddings
from amtts_core.finetune.vocab.sounds import ingredients

LATIN = {sign: number for number, sign in enumerate("abcdefghijklmnopqrstuvwxyz' .,?")}
IPA = LATIN | {sign: 31 + number for number, sign in enumerate("ɨəʼʃʒɲʔː")}


@st.composite
def two_vocabularies(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int]]:
    names = draw(st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=30, unique=True))
    cut = draw(st.integers(1, len(names)))
    later = draw(st.permutations(names[draw(st.integers(0, cut - 1)) :]))
    return ({name: n for n, name in enumerate(names[:cut])}, {name: n for n, name in enumerate(later)})


@settings(max_examples=100, deadline=None)
@given(two_vocabularies(), st.sampled_from(INITS), st.integers(0, 2))
def test_every_row_is_where_its_token_is(
    pair: tuple[dict[str, int], dict[str, int]], init, extra: int
) -> None:
    old, new = pair
    weight, bias = torch.randn(len(old) + extra, 5), torch.randn(len(old) + extra)
    table = resize_token_embeddings(weight, old, new, init=init, extra=extra)
    head, shift = resize_linear_layer(weight, bias, old, new, init=init, extra=extra)
    assert table.shape == head.shape == (len(new) + extra, 5)
    assert shift is not None
    for name, number in new.items():
        if name in old:
            assert torch.equal(table[number], weight[old[name]])
            assert torch.equal(head[number], weight[old[name]])
            assert torch.equal(shift[number], bias[old[name]])
        assert table[number].isfinite().all()
    if extra:
        assert torch.equal(table[-extra:], weight[-extra:])
        assert torch.equal(shift[-extra:], bias[-extra:])
    plan = plan_tokens(old, new)
    counts = plan.counts()
    assert counts["kept"] + counts["moved"] + counts["new"] == len(new)
    assert set(plan.dropped) == set(old) - set(new)


def test_growing_keeps_counts_and_gaps() -> None:
    plan = plan_tokens({"a": 0, "c": 2}, {"a": 0, "c": 2, "ሀ": 3}, old_size=3)
    assert plan.counts() == {"kept": 3, "moved": 0, "new": 1, "dropped": 0}  # row 1 has no token and stays
    with pytest.raises(ValueError, match="share id 0"):
        plan_tokens({"a": 0, "b": 0}, {"a": 0})
    with pytest.raises(ValueError, match="id 5"):
        plan_tokens({"a": 5}, {"a": 0}, old_size=3)


@pytest.mark.parametrize(
    ("symbol", "latin", "ipa"),
    [("ለ", "la", "lə"), ("ጠ", "ta", "tʼə"), ("ሸ", "sha", "ʃə"), ("ቋ", "qwa", "kʼwa"), ("ኘ", "nya", "ɲə"),
     ("።", ".", "."), ("ልብ", "lebe", "lɨbɨ"), ("፡", " ", " "), ("\u135f", "'", "ː")],
)  # fmt: skip
def test_a_letter_is_made_of_its_sounds(symbol: str, latin: str, ipa: str) -> None:
    assert ingredients(symbol, LATIN) == list(latin)
    assert ingredients(symbol, IPA) == list(ipa)


def test_consonants_vowels_and_tags() -> None:
    assert ingredients("ል", LATIN, consonant=True) == ["l"]
    assert ingredients("+a", LATIN) == ["a"] == ingredients("[+a]", LATIN)
    assert ingredients("[am]", {"[ar]": 0, "[sw]": 1, "a": 2}) == ["[ar]", "[sw]"]
    assert ingredients("ለ", {"▁L": 0, "A": 1}) == ["▁L", "A"]
    assert ingredients("ለ", {"你": 0}) == []


def test_romanized_rows_are_near_their_sounds_and_all_different() -> None:
    torch.manual_seed(1)
    table = torch.randn(len(IPA), 64) * torch.linspace(0.5, 2, len(IPA))[:, None]
    new = IPA | {sign: len(IPA) + n for n, sign in enumerate("ለሰሠ")}
    resized = resize_token_embeddings(table, IPA, new)
    mean = table[[IPA["l"], IPA["ə"]]].mean(0)
    assert torch.cosine_similarity(resized[new["ለ"]], mean, dim=0) > 0.99
    assert not torch.equal(resized[new["ሰ"]], resized[new["ሠ"]])  # one sound, two rows
    norms = resized[len(IPA) :].norm(dim=1)
    torch.testing.assert_close(norms, table.norm(dim=1).median().expand(3))
    assert torch.equal(resized, resize_token_embeddings(table, IPA, new))  # the same seed, the same rows
    assert not torch.equal(resized, resize_token_embeddings(table, IPA, new, seed=1))


def test_the_other_inits() -> None:
    torch.manual_seed(2)
    table = torch.randn(400, 6) @ torch.randn(6, 6) + 3
    vocabulary = {str(n): n for n in range(400)}
    make = partial(initial_embedding, table=table, old=vocabulary, seed=0, tensor="t")
    assert torch.equal(make(InitSource("zero"), "x"), torch.zeros(6))
    assert torch.equal(make(InitSource("mean"), "x"), table.mean(0))
    drawn = torch.stack([make(InitSource("normal"), str(n)) for n in range(3000)])
    torch.testing.assert_close(drawn.mean(0), table.mean(0), atol=0.3, rtol=0)
    torch.testing.assert_close(
        drawn.T.cov(), table.T.cov(), atol=0.15 * float(table.T.cov().abs().max()), rtol=0
    )
    assert choose_sources({"ᏸ": 1}, vocabulary, init="romanized") == {"ᏸ": InitSource("normal")}


def test_half_precision_rows_keep_their_bits() -> None:
    table = torch.randn(31, 8).to(torch.bfloat16)
    resized = resize_token_embeddings(table, LATIN, LATIN | {"ሀ": 31})
    assert resized.dtype == torch.bfloat16
    assert torch.equal(resized[:31], table)
