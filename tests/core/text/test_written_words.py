"""Spoken words are traced back to what the author wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amtts_core.text.normalizer import Normalizer
from amtts_core.text.written_words import match_written

NORMALIZE = Normalizer()


def pairs(text: str) -> list[tuple[str, str]]:
    spoken = NORMALIZE(text).split()
    return [(w.text, " ".join(spoken[w.first : w.last])) for w in match_written(text, spoken, NORMALIZE)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ሰላም ለዓለም።", [("ሰላም", "ሰላም"), ("ለዓለም።", "ለአለም።")]),
        ("ዛሬ 12 ሰዎች", [("ዛሬ", "ዛሬ"), ("12", "አስራ ሁለት"), ("ሰዎች", "ሰዎች")]),
        ("12 12", [("12", "አስራ ሁለት"), ("12", "አስራ ሁለት")]),
        ("ዶ/ር አበበ", [("ዶ/ር", "ዶክተር"), ("አበበ", "አበበ")]),
        ("በ1984 ዓ.ም. ነው", [("በ1984", "በአንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት"), ("ዓ.ም.", "አመተ ምህረት"), ("ነው", "ነው")]),
        ("ዋጋው ETB 500 ነው", [("ዋጋው", "ዋጋው"), ("ETB 500", "አምስት መቶ ብር"), ("ነው", "ነው")]),
        ("ሰላም፡ለዓለም፡፡", [("ሰላም", "ሰላም"), ("ለዓለም፡፡", "ለአለም።")]),
        ("😀 ሰላም 😀 ነው 😀", [("😀 ሰላም 😀", "ሰላም"), ("ነው 😀", "ነው")]),
        ("😀", []),
        ("", []),
    ],
)
def test_written_words_stand_beside_what_is_said(text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(text) == expected


PARTS = [
    "ሰላም",
    "12",
    "ዶ/ር",
    "3:45",
    "5 kg",
    "$7",
    "50%",
    "Google",
    "😀",
    "—",
    "ዓ.ም.",
    "ETB 500",
    "12/5/2010",
    "«ሰላም»",
    "።",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_nothing_is_lost_on_either_side(parts: list[str]) -> None:
    text = " ".join(parts)
    spoken = NORMALIZE(text).split()
    found = match_written(text, spoken, NORMALIZE)
    if spoken:
        assert " ".join(word.text for word in found) == text
    assert [place for word in found for place in range(word.first, word.last)] == list(range(len(spoken)))
    assert all(word.first < word.last for word in found)
