"""Ids are safe and given once; a sentence's split depends on the sentence alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amtts_core.corpus.naming import safe_stem, unique_id
from amtts_core.corpus.split import split_of


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("wavs/clip 1.wav", "clip_1"),
        ("wavs\\clip.2.wav", "clip.2"),
        ("ሰላም.wav", "ሰላም"),
        ("a/.hidden", "hidden"),
        ("...", "clip"),
        ("con.wav", "con_"),
        ("a/b:c*?.wav", "b_c"),
        ("x" * 500 + ".wav", "x" * 120),
    ],
)
def test_stems(source: str, stem: str):
    assert safe_stem(source) == stem


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=5)), max_size=30))
def test_ids_are_unique_even_without_case(clips: list[tuple[str, str]]):
    taken: set[str] = set()

    def take(name: str) -> bool:
        new = name.casefold() not in taken
        taken.add(name.casefold())
        return new

    ids = [unique_id(source, text, take) for source, text in clips]
    assert len({name.casefold() for name in ids}) == len(clips)
    for name in ids:
        assert not re.search(r'[/\\:*?"<>|\0]', name)
        assert name not in ("", ".", "..")
        assert len(name.encode()) < 200


def test_an_id_does_not_depend_on_how_many_came_before():
    def ids(*sources: str) -> dict[str, str]:
        taken: set[str] = set()

        def take(name: str) -> bool:
            new = name not in taken
            taken.add(name)
            return new

        return {source: unique_id(source, "text", take) for source in sources}

    few, more = ids("a/x.wav", "b/x.wav"), ids("a/x.wav", "c/x.wav", "b/x.wav")
    assert few["a/x.wav"] == "x"
    assert few["b/x.wav"] == more["b/x.wav"] != more["c/x.wav"]


def test_splits_have_their_shares():
    texts = [f"ዓረፍተ ነገር {n}" for n in range(5000)]
    sides = [split_of(text, val=0.05, test=0.1) for text in texts]
    assert sides.count("val") / 5000 == pytest.approx(0.05, abs=0.015)
    assert sides.count("test") / 5000 == pytest.approx(0.1, abs=0.02)
    assert {split_of(text, val=0, test=0) for text in texts} == {"train"}


def test_the_same_sentence_is_on_one_side_whatever_its_punctuation():
    for number in range(200):
        text = f"ቃል ቁጥር {number} ነው"
        sides = {
            split_of(t, val=0.3, test=0.3)
            for t in (text, text + "።", text.replace(" ", "  ") + "?", f"«{text}»")
        }
        assert len(sides) == 1


def test_splits_never_change_between_versions():
    """These places are promised: a change here moves utterances of existing corpora."""
    assert [split_of(f"ሰላም {n}", val=0.2, test=0.2) for n in range(8)] == PROMISED


PROMISED = ["val", "train", "test", "train", "train", "val", "val", "train"]
