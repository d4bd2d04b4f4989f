"""Bytes to text, text to sentences."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amtts_core.errors import AmttsError
from amtts_core.text.normalizer import decode_text, split_sentences

TEXT = "ሰላም ለዓለም። እንዴት ነህ?\nደህና\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
    ],
    ids=[
        "utf-8",
        "utf-8 with mark",
        "utf-16 with mark",
        "big endian with mark",
        "little endian",
        "big endian",
    ],
)
def test_reads_every_unicode_encoding(data: bytes) -> None:
    assert decode_text(data, source="x.txt") == TEXT


@pytest.mark.parametrize(
    "data",
    [b"\xff\xe1\x88", TEXT.encode()[:-3], b"RIFF\0\0\0\0WAVE", TEXT.encode().decode("latin-1").encode()],
    ids=["not utf-8", "cut off", "binary", "mojibake"],
)
def test_refuses_and_names_the_source(data: bytes) -> None:
    with pytest.raises(AmttsError, match=r"x\.txt") as caught:
        decode_text(data, source="x.txt")
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=40))
def test_any_bytes_are_text_or_one_clear_error(data: bytes) -> None:
    try:
        message = "x: " + decode_text(data, source="x")
    except AmttsError as fault:
        message = str(fault)
    assert message.startswith("x:")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("ሰላም። ደህና? አዎ! ጥሩ", ["ሰላም።", "ደህና?", "አዎ!", "ጥሩ"]),
        ("አንድ፡፡ሁለት:: ሦስት፧", ["አንድ፡፡", "ሁለት::", "ሦስት፧"]),
        ("በ1984 ዓ.ም. ተወለደ። ሄደ።", ["በ1984 ዓ.ም. ተወለደ።", "ሄደ።"]),
        ("እ.ኤ.አ. በ2001 እና ኤች.አይ.ቪ. መከላከያ", ["እ.ኤ.አ. በ2001 እና ኤች.አይ.ቪ. መከላከያ"]),
        ("ዋጋው 3.14 ነው. ገዛ.", ["ዋጋው 3.14 ነው.", "ገዛ."]),
        ("«ሂድ!» አለ። «ና።»", ["«ሂድ!» አለ።", "«ና።»"]),
        ("«ሂድ!» ከበደ መጣ።", ["«ሂድ!»", "ከበደ መጣ።"]),
        ("Dr. አበበ መጣ። Mr. Smith ሄደ። መዝ. 23 ተነበበ።", ["Dr. አበበ መጣ።", "Mr. Smith ሄደ።", "መዝ. 23 ተነበበ።"]),
        ("1. ሻይ 2. ቡና 3. ውሃ", ["1. ሻይ", "2. ቡና", "3. ውሃ"]),
        ("ዕድሜው 25. ሄደ", ["ዕድሜው 25.", "ሄደ"]),
        ("መስመር አንድ\nመስመር ሁለት\n\n", ["መስመር አንድ", "መስመር ሁለት"]),
        ("1. አንደኛ። ሀ. ሁለተኛ።", ["1. አንደኛ።", "ሀ. ሁለተኛ።"]),
        ("አንድ፤ ሁለት፣ ሦስት", ["አንድ፤ ሁለት፣ ሦስት"]),
        ("። ?! ", []),
    ],
)
def test_splits_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@given(st.text(alphabet="ሀለ ።?!.\n፡ዓም1", max_size=40))
def test_splitting_loses_no_word(text: str) -> None:
    kept = "".join("".join(split_sentences(text)).split())
    assert [c for c in kept if c.isalnum()] == [c for c in text if c.isalnum()]
