"""SentencePiece with the Ethiopic set forced in: sizes that work, sizes that do not, and what may merge."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from amtts_core.errors import AmttsError, ManifestError
from amtts_core.tokenizers.factory import train_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet

TEXTS = [
    f"{first} {second} {third}።"
    for first in ("ልጁ", "እናት")
    for second in ("ዛሬ", "ትናንት")
    for third in ("መጣ", "ገዛ")
]
TEXTS += ["ሽንኩርት ሽንኩርት ሽንኩርት ሰላም", "ሰላም ለዓለም፣ ሰላም ለሁሉም።"] * 5
KINDS = ("unigram", "bpe", "char")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [["ሀ"], ["ሀለመ"], ["ሰላም።"] * 3, ["abc"], ["ሀ ለ"]])
def test_no_letter_is_lost_on_the_smallest_corpus(kind: str, texts: list[str]) -> None:
    """SentencePiece drops its required characters when no text holds a space; ours may not."""
    tokenizer = train_tokenizer(kind, texts)
    for character in ethiopic_alphabet() + " ":
        assert tokenizer.decode(tokenizer.encode(character)) == character


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_frequent_letters_merge_and_punctuation_does_not(kind: str) -> None:
    pieces = train_tokenizer(kind, TEXTS).symbols()
    assert any(len(piece.strip("▁")) > 1 for piece in pieces[4:])
    assert not [piece for piece in pieces if len(piece) > 1 and set(piece) & set("።፣!?")]


@pytest.mark.parametrize("text", ["  ሀ  ለ ", " ", "ሰላም  ለዓለም ", "።።", "- ሀ"])
@pytest.mark.parametrize("kind", KINDS)
def test_spaces_stay_as_they_are(kind: str, text: str) -> None:
    tokenizer = train_tokenizer(kind, TEXTS)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_the_size_named_by_each_error_works(kind: str) -> None:
    with pytest.raises(AmttsError, match="too large for these texts: they support at most") as large:
        train_tokenizer(kind, TEXTS, vocab_size=20_000)
    with pytest.raises(AmttsError, match="too small") as small:
        train_tokenizer(kind, TEXTS, vocab_size=100)
    for fault in (large, small):
        named = re.search(r"--vocab-size (\d+)", str(fault.value))
        assert named is not None
        assert train_tokenizer(kind, TEXTS, vocab_size=int(named[1])).vocab_size == int(named[1])


def test_a_given_size_is_met_exactly_and_the_default_adapts() -> None:
    assert train_tokenizer("bpe", TEXTS, vocab_size=390).vocab_size == 390
    assert 368 <= train_tokenizer("unigram", TEXTS).vocab_size < 1_000
    size = train_tokenizer("char", TEXTS).vocab_size
    with pytest.raises(AmttsError, match=f"char tokenizer of these texts has exactly {size} pieces"):
        train_tokenizer("char", TEXTS, vocab_size=size + 1)


@pytest.mark.parametrize("size", [-1, 0, 99, 20_001])
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_out_of_range(kind: str, size: int) -> None:
    with pytest.raises(AmttsError, match=f"vocabulary size {size}: expected 100 to 20000"):
        train_tokenizer(kind, TEXTS, vocab_size=size)


@pytest.mark.parametrize("kind", KINDS)
def test_no_text(kind: str) -> None:
    for texts in ([], ["", " \n"]):
        with pytest.raises(AmttsError, match="every text is empty"):
            train_tokenizer(kind, texts)


def test_a_fault_of_the_text_stream_comes_through_as_it_is() -> None:
    def texts() -> Iterator[str]:
        yield "ሰላም"
        raise ManifestError("train.jsonl, line 2: not JSON")

    with pytest.raises(ManifestError, match="line 2"):
        train_tokenizer("unigram", texts())


def test_the_same_seed_gives_the_same_model() -> None:
    first, second = (train_tokenizer("unigram", TEXTS, seed=7).fingerprint() for _ in range(2))
    assert first == second
