"""Texts that nobody writes but somebody's crawler finds: ten thousand repetitions of a shape that a rule looks for."""

from __future__ import annotations

import time
import unicodedata

import pytest

from amtts_core.text.normalizer import Normalizer

REPEATED = (
    *[
        "ሀ/",
        "ሰ.",
        "ሀ. ",
        "ሀ / ",
        "ጠ/ሚ/",
        "ቤት/",
        "ሚ/ር ",
        "ዓ.ም. ",
        "ዓ. ም. ",
        "ዓ ም ",
        "ኤች.አይ.ቪ",
        "ኤች.አይ.ቪ ",
        "ሀ፡",
        "ሀ ",
        "ሀ",
    ],
    *[
        "1.",
        "1/",
        "1:",
        "1፡",
        "1-",
        "1,",
        "1 ",
        "1",
        "1/2 ",
        "1.000.",
        "2፡30 ",
        "09",
        "+2",
        "$1",
        "1%",
        "በ1",
        "1ኛ",
        "፩",
        "፼",
        "½",
    ],
    *["A", "Ab ", "A.", "a/", "a-", "www.", "a@", "http://", "\n", "\r\n ", "\t", " "],
)
"""Every part of a form, a number, an address that a rule repeats."""
PUNCTUATION = "".join(chr(c) for c in range(0x21, 0x1400) if unicodedata.category(chr(c))[0] in "PS")


@pytest.fixture(scope="module")
def normalizer() -> Normalizer:
    ready = Normalizer()
    ready("ዶ/ር አበበ በ1984 ዓ.ም. www.ebc.et 27 ብር ከፈለ፡፡")  # tables are read once
    return ready


def seconds(normalizer: Normalizer, text: str) -> float:
    """Processor time, because other processes are at work on the machine that tests run on."""
    start = time.process_time()
    normalizer(text)
    return time.process_time() - start


@pytest.mark.parametrize("shape", REPEATED, ids=ascii)
def test_ten_thousand_repetitions_take_less_than_a_second(normalizer: Normalizer, shape: str):
    assert seconds(normalizer, shape * 10_000) < 1.0


def test_long_runs_of_every_punctuation_mark(normalizer: Normalizer):
    marks = [mark for mark in PUNCTUATION if mark.isascii() or "ETHIOPIC" in unicodedata.name(mark)]
    assert {"።", "፡", "/", ".", ":", "("} < set(marks)
    slow = {mark: took for mark in marks if (took := seconds(normalizer, mark * 10_000)) > 1.0}
    assert not slow
    slow = {mark: took for mark in marks if (took := seconds(normalizer, f"ሀ{mark}1" * 2_000)) > 1.0}
    assert not slow


def test_different_parts_are_no_slower(normalizer: Normalizer):
    parts = [chr(code) for code in range(0x1200, 0x1358) if chr(code).isalpha()]
    for mark in ("/", ".", ". ", " /"):
        assert seconds(normalizer, mark.join(parts * 12)) < 2.0


def test_a_long_chain_still_reads_the_forms_in_it(normalizer: Normalizer):
    assert normalizer("ዓ. ም. " * 30) == " ".join(["አመተ ምህረት"] * 30)
    assert normalizer("ሚ/ር ሰላም " * 30) == " ".join(["ሚስተር ሰላም"] * 30)
