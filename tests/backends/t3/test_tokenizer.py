"""Chatterbox' tokenizer extended and reused; Hugging Face's own implementation says what the ids are."""

from __future__ import annotations

import json
import pickle
import unicodedata
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from vocabularies import LATIN, chatterbox_data, hf_data, write_json

from amtts_chatterbox.tokenizer import RULES, HfJsonTokenizer, check
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.published import hf_surgery
from amtts_core.tokenizers.published.mapping import load_vocab_mapping
from amtts_core.tokenizers.published.symbols import cv_symbols, fidel_symbols
from amtts_core.tokenizers.published.vocabulary import hf_vocabulary

change_vocabulary = partial(hf_surgery.change_vocabulary, rules=RULES)
unreachable = partial(hf_surgery.unreachable, rules=RULES)
ETHIOPIC = st.text(st.sampled_from(ethiopic_alphabet() + "፡።፣፤፥፦፧፨፠"), min_size=1, max_size=12)


def encode(data: dict, text: str) -> list[int]:
    return Tokenizer.from_str(json.dumps(data)).encode(text.replace(" ", "[SPACE]")).ids


@st.composite
def vocabularies(draw: st.DrawFn) -> dict:
    """Characters, random merges over them, random tags."""
    signs = draw(st.lists(st.sampled_from(LATIN + "ABCéü.,!əɨ中文"), min_size=2, max_size=25, unique=True))
    tokens, merges = list(signs), []
    for left, right in draw(st.lists(st.tuples(st.sampled_from(signs), st.sampled_from(signs)), max_size=8)):
        if left + right not in tokens:
            tokens.append(left + right)
            merges.append(f"{left} {right}")
    return hf_data(
        tokens, merges, tags=draw(st.lists(st.sampled_from(["[ar]", "[en]", "[zh]"]), unique=True))
    )


@settings(max_examples=100, deadline=None)
@given(vocabularies(), st.sampled_from(["whole", "cv"]), st.lists(st.text(max_size=10), max_size=3), ETHIOPIC)
def test_no_old_id_moves_and_nothing_ethiopic_is_unknown(
    data: dict, letters, texts: list[str], amharic: str
) -> None:
    symbols = fidel_symbols() if letters == "whole" else cv_symbols()
    change = change_vocabulary(data, symbols, letters=letters, tags=["[am]"])
    old, new = hf_vocabulary(data), hf_vocabulary(change.data)
    assert {name: new[name] for name in old} == old
    assert sorted(new.values()) == list(range(len(new)))
    before, after = (Tokenizer.from_str(json.dumps(content)) for content in (data, change.data))
    for text in [*texts, "".join(old), "1+a [x]"]:
        if not set(text) & set(ethiopic_alphabet()) and "[am]" not in text:
            assert before.encode(text).ids == after.encode(text).ids
    ids = after.encode(amharic).ids
    assert new["[UNK]"] not in ids
    assert after.encode("[am]" + amharic).ids == [new["[am]"], *ids]


@settings(max_examples=100, deadline=None)
@given(vocabularies(), st.text(st.sampled_from(LATIN + "ABCéüŒ™½ 中.,!"), max_size=15))
def test_reuse_keeps_the_size_and_every_reachable_token(data: dict, text: str) -> None:
    dead = unreachable(data)
    wanted = list("ሀለሐመሠ")[: len(dead)]
    change = change_vocabulary(data, wanted, reuse=True)
    old, new = hf_vocabulary(data), hf_vocabulary(change.data)
    assert len(new) == len(old)
    assert set(old) - set(new) == set(change.replaced) <= set(dead)
    assert set(change.added) == set(wanted)
    plain = unicodedata.normalize("NFKD", text.lower())
    before = encode(data, plain)
    if not set(plain) & set("".join(change.replaced)):  # ™ decomposes to capitals after lower-casing
        assert encode(change.data, plain) == before
    for sign in wanted:
        assert encode(change.data, sign) == [new[sign]]


def test_what_is_unreachable() -> None:
    dead = set(unreachable(chatterbox_data()))
    assert dead == {*"ABCDEFGH", *"éüñ", "sch"}  # capitals, precomposed letters, a digraph without merges
    with pytest.raises(AmttsError, match="358 symbols to place, but only 12 rows"):
        change_vocabulary(chatterbox_data(), fidel_symbols(), reuse=True)


def test_longer_pieces_need_chains_of_merges() -> None:
    data = chatterbox_data()
    change = change_vocabulary(data, ["ሰ", "ላ", "ም", "ሰላ", "ሰላም", "▁ም", "ወዘተረፈ", "ab", "a b", "the"])
    assert set(change.added) == {"ሰ", "ላ", "ም", "ሰላ", "ሰላም"}
    assert encode(change.data, "ሰላም") == [change.added["ሰላም"]]
    assert encode(change.data, "ሰላላ") == [change.added["ሰላ"], change.added["ላ"]]
    assert change.left_out["ወዘተረፈ"].startswith("the merges")
    assert "no new character" in change.left_out["ab"]
    listed = chatterbox_data()
    listed["model"]["merges"] = [merge.split(" ") for merge in listed["model"]["merges"]]
    assert change_vocabulary(listed, ["ሰ", "ላ", "ሰላ"]).data["model"]["merges"][-1] == ["ሰ", "ላ"]


def test_padding() -> None:
    data = chatterbox_data()
    change = change_vocabulary(data, "ሀለ", pad_to=100)
    assert sorted(hf_vocabulary(change.data).values()) == list(range(100))
    with pytest.raises(AmttsError, match="--pad-to 10 is too small: the new vocabulary has 6"):
        change_vocabulary(data, "ሀለ", pad_to=10)


def test_as_a_text_tokenizer(tmp_path: Path) -> None:
    change = change_vocabulary(chatterbox_data(), cv_symbols(), letters="cv", tags=["[am]"])
    tokenizer = HfJsonTokenizer(change.data, language="am")
    ids = tokenizer.encode("ሰላም Thé")
    names = tokenizer.symbols()
    assert [names[number] for number in ids] == [
        "[am]", "ስ", "[+ə]", "ል", "[+a]", "ም", "[+ɨ]", "[SPACE]", "the", "[UNK]"
    ]  # fmt: skip
    assert tokenizer.decode(ids) == "ሰላም the⁇"
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.kind == "hf-json"
    assert (
        again.fingerprint() == tokenizer.fingerprint() == pickle.loads(pickle.dumps(tokenizer)).fingerprint()
    )
    assert again.encode("ሰላም") == tokenizer.encode("ሰላም")
    assert load_vocab_mapping(tmp_path) == {name: number for number, name in enumerate(names)}
    (tmp_path / "tokenizer.model").write_text("{}")
    with pytest.raises(AmttsError, match="is damaged"):
        load_tokenizer(tmp_path)


def test_a_mapping_names_its_damage(tmp_path: Path) -> None:
    for text, message in (
        ("{", "cannot be read"),
        ("[1]", "is no tokenizer"),
        ("", "is no tokenizer"),
        ('{"a": "b"}', "no tokenizer"),
    ):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(AmttsError, match=message):
            load_vocab_mapping(tmp_path / "x.json")
    with pytest.raises(AmttsError, match="share id 0"):
        load_vocab_mapping(write_json(tmp_path / "vocab.json", {"a": 0, "b": 0}))
    with pytest.raises(AmttsError, match="no tokenizer at"):
        load_vocab_mapping(tmp_path / "none.json")


def test_added_tokens_outside_the_model_keep_their_ids() -> None:
    """The library numbers them behind the model's own tokens, which become more."""
    data = chatterbox_data()
    size = len(data["model"]["vocab"])
    outside = {"special": False, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    data["added_tokens"].append({"id": size, "content": "[laughter]", **outside})
    change = change_vocabulary(data, "ሀለ")
    assert encode(data, "a[laughter]b") == encode(change.data, "a[laughter]b")
    assert change.added == {"ሀ": size + 1, "ለ": size + 2}


def test_files_with_dropout_or_marks_around_a_text_are_extended_too() -> None:
    data = chatterbox_data()
    data["model"]["dropout"] = 0.5
    start = data["model"]["vocab"]["[START]"]
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[START]", "type_id": 0}}, sequence],
        "pair": [sequence, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[START]": {"id": "[START]", "ids": [start], "tokens": ["[START]"]}},
    }
    change = change_vocabulary(data, ["ሰ", "ላ", "ሰላ"])
    tokenizer = HfJsonTokenizer(change.data)
    assert {tuple(tokenizer.encode("the thin")) for _ in range(20)} == {tuple(tokenizer.encode("the thin"))}
    assert tokenizer.encode("ሰላ") == [start, change.added["ሰላ"]]


def test_ids_that_the_library_reads_otherwise_are_refused(tmp_path: Path) -> None:
    data = chatterbox_data()
    data["added_tokens"].append(data["added_tokens"][0] | {"id": 500, "content": "[cough]"})
    with pytest.raises(AmttsError, match=r"gives '\[cough\]' id 500, Hugging Face tokenizers reads"):
        check(data, tmp_path / "x.json")
