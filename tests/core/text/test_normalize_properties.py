"""What holds for every text: one line, stable, composed, no digit left, nothing lost in silence."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amtts_core.text.ethiopic import letters
from amtts_core.text.normalizer import Normalizer, NormalizerSettings

WILD = st.text(max_size=60)
PIECES = st.sampled_from(
    [
        *"፡።፣፤፥፦፧፠፨.,:;/-–—()[]«»\"'?!…%$€£+=&@#°",
        *"0123456789፩፪፲፻፼½",
        *" \n\t",
        *letters()[::7],
        "በ", "ከ", "የ", "ለ", "ኛ", "ቱ", "ዎቹ", "ዓ.ም", "ዶ/ር", "ሚ/ር", "ጽ/ቤት", "እ.ኤ.አ.", "ኤች.አይ.ቪ", "ብር", "ሰዓት", "ሚሊዮን",
        "ስልክ", "አንቀጽ", "መስከረም", "USD", "km", "COVID-19",
        "www.a.et", "a@b.et", "UN", "ከሌሊቱ", "ዲግሪ", "8:30", "27/4/93", "10-20",
        "251", "1984", "2,500", "3.14", "\u135f", "\u0301", "\u200d",
    ]
)  # fmt: skip
LIKE_TEXT = st.lists(PIECES, max_size=25).map("".join)
SPACED = st.lists(PIECES, max_size=15).map(" ".join)

NORMALIZERS = {
    "default": Normalizer(),
    "unfolded": Normalizer(NormalizerSettings(fold_homophones=False, fold_labialised=False)),
    "tigrinya": Normalizer(NormalizerSettings(language="ti")),
}


@pytest.mark.parametrize("name", NORMALIZERS)
@settings(max_examples=400, deadline=None)
@given(text=st.one_of(WILD, LIKE_TEXT, SPACED))
@example("")
@example("e\u200d\u0301")
@example("፼" * 5000)
@example("9" * 5000)
def test_invariants(name: str, text: str) -> None:
    normalizer = NORMALIZERS[name]
    once = normalizer(text)
    assert normalizer(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not re.search(r"[\n\r\t]|^ | $|  ", once)
    if name != "tigrinya":
        assert not re.search("[0-9፩-፼]", once)
    outside = {character for character in once if character not in normalizer._allowed}
    assert set(normalizer.leftovers(once)) == outside


@settings(max_examples=200, deadline=None)
@given(text=LIKE_TEXT)
def test_explain_agrees_with_the_result(text: str) -> None:
    normalizer = NORMALIZERS["default"]
    fired = normalizer.explain(text)
    if normalizer(text) != text:
        assert fired
    assert all(rule.stage and rule.rule and rule.before != rule.after for rule in fired)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("жыяلمن你好カ한ग"), min_size=1, max_size=20))
def test_letters_of_other_scripts_are_kept_and_counted(text: str) -> None:
    normalizer = NORMALIZERS["default"]
    normalized = normalizer(text)
    assert normalized == unicodedata.normalize("NFC", text)
    assert normalizer.leftovers(normalized).total() == len(normalized)
