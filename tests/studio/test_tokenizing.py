"""The Tokenizer tab: the command, the coverage of the letters, two tokenizers on a text."""

from __future__ import annotations

from pathlib import Path

import pytest
from open_studio import studio_of
from tiny_voice import make_corpus

from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs.tokenizer import compared_html, coverage_html
from amtts_cli.studio.tokenizing import coverage, encode, opened, tokenize_command
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import train_tokenizer


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    made = studio_of(tmp_path / "studio")
    make_corpus(made.workspace.root / "data")
    return made


def test_the_command(studio: Studio) -> None:
    assert tokenize_command(studio.workspace, "data") == ["tokenize", "--data", "data", "--kind=fidel"]
    options = {"kind": "bpe", "size": 300, "backend": "chatterbox", "byte_fallback": True, "replace": True}
    assert tokenize_command(studio.workspace, "data", **options)[3:] == [
        *("--kind=bpe", "--vocab-size=300", "--backend=chatterbox", "--byte-fallback", "--force"),
    ]
    for corpus, kind in (("none", "fidel"), ("../data", "fidel"), ("data", "fidl")):
        with pytest.raises(AmttsError):
            tokenize_command(studio.workspace, corpus, kind=kind)


def test_the_letters_are_counted_and_tried(studio: Studio) -> None:
    corpus = studio.workspace.root / "data"
    letters = coverage(opened(studio.workspace, "data/tokenizer"), corpus)
    assert len(letters) == 33 * 7
    text = "".join(row.spoken_text() for row in read_manifest(corpus / "train.jsonl"))
    assert {one.letter: one.count for one in letters}["ሀ"] == text.count("ሀ")
    assert sum(one.count or 0 for one in letters) > 0
    assert all(one.known for one in letters)
    page = coverage_html(studio, letters)
    assert page.count('class="fidel-row"') == 33
    assert "fidel-never" in page
    small = train_tokenizer("char", ["ሀሁሂ"])
    known = {one.letter for one in coverage(small, None) if one.known}
    told = coverage_html(studio, coverage(small, None))
    assert told.count("fidel-unknown") == 1 + 231 - len(known), "the legend, and each that it cannot write"


def test_two_tokenizers_on_a_text(studio: Studio) -> None:
    fidel = encode(opened(studio.workspace, "data/tokenizer"), "fidel", "ሰላም  ለዓለም")
    assert (fidel.words, fidel.unknown) == (2, 0)
    assert len(fidel.pieces) > 8, "a consonant and a vowel for each letter"
    char = encode(train_tokenizer("char", ["ሰላም ለዓለም"]), "char", "ሰላም ለዓለም")
    assert len(char.pieces) < len(fidel.pieces)
    page = compared_html(studio, [fidel, char])
    assert page.count("<tr>") == 3
    assert f"<td>{len(fidel.pieces)}</td>" in page
    for text in (" ", "ሀ" * 2001):
        with pytest.raises(AmttsError):
            encode(opened(studio.workspace, "data/tokenizer"), "x", text)
