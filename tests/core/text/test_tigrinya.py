"""Tigrinya: numbers with their link, ordinals, dates, clock, money and abbreviations."""

from __future__ import annotations

import pytest

from amtts_core.text import Normalizer, NormalizerSettings, split_sentences
from amtts_core.text.tigrinya.numbers import LARGEST, cardinal, ordinal

NORMALIZE = Normalizer(NormalizerSettings(language="ti"))


@pytest.mark.parametrize(
    ("number", "spoken"),
    [
        (0, "ዜሮ"),
        (10, "ዓሰርተ"),
        (15, "ዓሰርተ ሓሙሽተ"),
        (20, "ዕስራ"),
        (25, "ዕስራን ሓሙሽተን"),
        (100, "ሓደ ሚእቲ"),
        (115, "ሓደ ሚእትን ዓሰርተ ሓሙሽተን"),
        (127, "ሓደ ሚእትን ዕስራን ሸውዓተን"),
        (15_000, "ዓሰርተ ሓሙሽተ ሽሕ"),
        (25_000, "ዕስራን ሓሙሽተን ሽሕ"),
        (34_700, "ሰላሳን ኣርባዕተን ሽሕን ሸውዓተ ሚእትን"),
        (100_000, "ሓደ ሚእቲ ሽሕ"),
        (1_001_000, "ሓደ ሚልዮንን ሓደ ሽሕን"),
        (1_234_567, "ሓደ ሚልዮንን ክልተ ሚእትን ሰላሳን ኣርባዕተን ሽሕን ሓሙሽተ ሚእትን ሱሳን ሸውዓተን"),
    ],
)
def test_cardinals(number: int, spoken: str) -> None:
    assert cardinal(number) == spoken


def test_numbers_without_a_word_are_refused() -> None:
    for number in (-1, LARGEST + 1):
        with pytest.raises(ValueError, match="outside"):
            cardinal(number)


def test_ordinals_have_a_gender_up_to_ten() -> None:
    assert [ordinal(1), ordinal(3, feminine=True), ordinal(12)] == ["ቀዳማይ", "ሳልሰይቲ", "መበል ዓሰርተ ክልተ"]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("ብ 25 ጥሪ 2017 ዓ.ም ሰዓት 3:30", "ብ ዕስራን ሓሙሽተን ጥሪ ክልተ ሽሕን ዓሰርተ ሸውዓተን ዓመተ ምሕረት ሰዓት ሰለስተን ሰላሳ ደቒቕን"),
        ("50% 100 ብር", "ሓምሳ ሚእታዊት ሓደ ሚእቲ ብር"),
        ("ካብ 10-20 ሰባት", "ካብ ዓሰርተ ክሳብ ዕስራ ሰባት"),
        ("ኣብ 10-20 ሰባት", "ኣብ ዓሰርተ ክሳብ ዕስራ ሰባት"),
        ("$5.50 ከፊሉ", "ሓሙሽተ ዶላርን ሓምሳ ሳንቲምን ከፊሉ"),
        ("ብ24/5/1991", "ብዕለት ዕስራን ኣርባዕተን ወርሒ ሓሙሽተ ዓመተ ሓደ ሽሕን ትሽዓተ ሚእትን ቴስዓን ሓደን"),
        ("ዶ/ር ኣብርሃም 3ይ ደረጃ", "ዶክተር ኣብርሃም ሳልሳይ ደረጃ"),
        ("12ይ ክፍሊ", "መበል ዓሰርተ ክልተ ክፍሊ"),
        ("ስልኪ 0911 234567", "ስልኪ ዜሮ ትሽዓተ ሓደ ሓደ ክልተ ሰለስተ ኣርባዕተ ሓሙሽተ ሽዱሽተ ሸውዓተ"),
        ("-5 ዲግሪ 3.14", "ኣሉታ ሓሙሽተ ዲግሪ ሰለስተ ነጥቢ ሓደ ኣርባዕተ"),
        ("ቤ/ት ሓድሽ፣ ቤ/ክ", "ቤት ትምህርቲ ሓድሽ፣ ቤተ ክርስትያን"),
        ("፲፱፻፺፩ ዓ.ም", "ሓደ ሽሕን ትሽዓተ ሚእትን ቴስዓን ሓደን ዓመተ ምሕረት"),
        ("5 km 37°C", "ሓሙሽተ ኪሎ ሜተር ሰላሳን ሸውዓተን ዲግሪ ሰንቲግሬድ"),
        ("25ን 26ን ነሓሰ", "ዕስራን ሓሙሽተን ዕስራን ሽዱሽተን ነሓሰ"),
        ("ምዕራፍ 3፡16", "ምዕራፍ ሰለስተ ዓሰርተ ሽዱሽተ"),
    ],
)
def test_text(written: str, spoken: str) -> None:
    assert NORMALIZE(written) == spoken
    assert NORMALIZE(spoken) == spoken


def test_unknown_abbreviations_are_counted() -> None:
    assert NORMALIZE.guesses("ቅ.ጵ.ዝ መጺኡ ዶ/ር") == {"ቅ.ጵ.ዝ": 1}


def test_an_abbreviation_ends_no_sentence() -> None:
    assert split_sentences("ዶ.ር. ኣብርሃም መጺኡ። ደሓን ዶ ኣለኻ?", language="ti") == ["ዶ.ር. ኣብርሃም መጺኡ።", "ደሓን ዶ ኣለኻ?"]
