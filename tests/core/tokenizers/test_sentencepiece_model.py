"""Pieces added behind the last id of a published model; SentencePiece itself says what the ids are."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import SENTENCES
from sentencepiece import SentencePieceProcessor
from vocabularies import indextts2_model, sentencepiece_bytes

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer, train_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.published.additions import read_addition
from amtts_core.tokenizers.published.mapping import load_vocab_mapping
from amtts_core.tokenizers.published.sentencepiece_model import PublishedSentencePiece
from amtts_core.tokenizers.published.sentencepiece_surgery import append_pieces
from amtts_core.tokenizers.published.symbols import cv_symbols, fidel_symbols

OLD = (
    "THE WORLD IN WORDS",
    "HELLO, WORLD! 你好世界",
    "今天 天气",
    "1+A=B é",
    "ß 你 好 THE",
    "  TWO  SPACES ",
)
AMHARIC = [*SENTENCES, "ሰላም ነው ሰላም ነሽ?", "ሰላም ለዓለም ሰላም ለሁሉም"] * 4


@st.composite
def models(draw: st.DrawFn) -> bytes:
    """Random pieces over Latin and Chinese with random scores, BPE or unigram."""
    signs = [
        "▁",
        *draw(st.lists(st.sampled_from("ABCDEFGH你好世界.,é"), min_size=3, max_size=16, unique=True)),
    ]
    longer = draw(st.lists(st.text(st.sampled_from(signs), min_size=2, max_size=4), max_size=15, unique=True))
    names = [*longer, *signs]
    kind = draw(st.sampled_from(["bpe", "unigram"]))
    scores = draw(st.lists(st.floats(-20, -0.5, width=32), min_size=len(names), max_size=len(names)))
    return sentencepiece_bytes(list(zip(names, scores, strict=True)), kind=kind)


@settings(max_examples=100, deadline=None)
@given(
    models(),
    st.lists(st.text(st.sampled_from("ABCDEFGHabc你好世界 .,é1+"), max_size=20), max_size=4),
    st.text(st.sampled_from(ethiopic_alphabet()), min_size=1, max_size=10),
)
def test_no_old_id_moves_and_nothing_ethiopic_is_unknown(
    model: bytes, texts: list[str], amharic: str
) -> None:
    change = append_pieces(model, [*fidel_symbols(), "ሰላም", "▁ሰ", "ሰላ"])
    before, after = (
        SentencePieceProcessor(model_proto=model),
        SentencePieceProcessor(model_proto=change.model),
    )
    for number in range(before.get_piece_size()):
        assert before.id_to_piece(number) == after.id_to_piece(number)
    for text in [*texts, *OLD]:
        assert before.encode(text) == after.encode(text)
    assert after.unk_id() not in after.encode(amharic)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_of_a_trained_tokenizer_win_over_letters(tmp_path: Path, kind: str) -> None:
    train_tokenizer(kind, AMHARIC).save(tmp_path / "tok")
    addition = read_addition(str(tmp_path / "tok"))
    assert addition.completed == 0
    model = indextts2_model(kind)
    change = append_pieces(model, addition.symbols)
    after = SentencePieceProcessor(model_proto=change.model)
    longer = [name for name in change.added if len(name) > 1]
    assert longer
    for name in longer:
        assert change.added[name] in after.encode("\ue000" + name.replace("▁", " "))
    before = SentencePieceProcessor(model_proto=model)
    for text in OLD:
        assert before.encode(text) == after.encode(text)
    assert set(change.added) >= set(ethiopic_alphabet())
    for text in AMHARIC[:4]:
        assert after.unk_id() not in after.encode(text)


def test_what_would_change_old_text_is_left_out() -> None:
    change = append_pieces(indextts2_model(), ["ሀ", "THEIN", "A", "ሀA"])
    assert set(change.added) == {"ሀ", "ሀA"} - set(change.left_out)
    assert "no new character" in change.left_out["THEIN"]


def test_padding_tags_and_consonants_with_vowels(tmp_path: Path) -> None:
    model = indextts2_model()
    size = SentencePieceProcessor(model_proto=model).get_piece_size()
    change = append_pieces(model, cv_symbols(), letters="cv", tags=["[am]"], pad_to=size + 200)
    tokenizer = PublishedSentencePiece(change.model, letters="cv")
    assert tokenizer.vocab_size == size + 200
    names = tokenizer.symbols()
    assert [names[number] for number in tokenizer.encode("[am]ሰላም")] == [
        "▁", "[am]", "ስ", "[+ə]", "ል", "[+a]", "ም", "[+ɨ]"
    ]  # fmt: skip
    assert not [sign for sign in ethiopic_alphabet() if tokenizer.unk_id in tokenizer.encode(sign)]
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (
        again.fingerprint() == tokenizer.fingerprint() == pickle.loads(pickle.dumps(tokenizer)).fingerprint()
    )
    assert load_vocab_mapping(tmp_path)["[am]"] == change.added["[am]"] == size
    with pytest.raises(
        AmttsError, match=f"--pad-to 5 is too small: the new vocabulary has {size + 1} pieces"
    ):
        append_pieces(model, ["ሀ"], pad_to=5)


def test_special_ids_are_those_of_the_model() -> None:
    found = PublishedSentencePiece(indextts2_model())
    assert (found.bos_id, found.eos_id, found.unk_id, found.pad_id) == (0, 1, 2, 1)
    other = PublishedSentencePiece(sentencepiece_bytes([("A", -1.0)], specials=("<unk>", "<s>", "</s>")))
    assert (other.unk_id, other.bos_id, other.eos_id, other.pad_id) == (0, 1, 2, 2)
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        PublishedSentencePiece(b"\x01\x02nothing")
