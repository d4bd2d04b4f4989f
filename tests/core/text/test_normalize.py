"""The normalizer as its callers see it."""

from __future__ import annotations

import pytest

from amtts_core.text.normalizer import Normalizer, NormalizerSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ዶ/ር አበበ በ1984 ዓ.ም. 27 ብር ከፈለ፡፡", "ዶክተር አበበ በአንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት ዓመተ ምሕረት ሃያ ሰባት ብር ከፈለ።"),
        ("ሰላም ፡ ለሁሉም :: እንዴት ነህ?!", "ሰላም ለሁሉም። እንዴት ነህ?"),
        ("የUN ሪፖርት በGDP", "የዩ ኤን ሪፖርት በጂ ዲ ፒ"),
    ],
)
def test_reads_a_sentence(text: str, expected: str) -> None:
    assert Normalizer(NormalizerSettings(fold_homophones=False))(text) == expected


def test_tigrinya_is_a_folder_of_its_own() -> None:
    amharic, tigrinya = Normalizer(), Normalizer(NormalizerSettings(language="ti"))
    assert amharic("ሓደ ዓዲ ሠላም") == "ሀደ አዲ ሰላም"
    assert tigrinya("ሓደ ዓዲ ሠላም") == "ሓደ ዓዲ ሰላም"
