"""Train, val or test by a hash of the sentence: the same sentence is always on one side, and stays there."""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def sentence_key(text: str) -> str:
    """What makes two texts the same sentence: letters, marks and digits, without spaces, punctuation and case."""
    letters = "".join(character for character in text.casefold() if character.isalnum())
    return letters or text.strip()


def split_of(text: str, *, val: float, test: float) -> Split:
    """The side of a sentence; depends on nothing but the sentence and the two shares.

    Args:
        text: normalised text.
        val: share of the sentences that go to validation, 0 to 1.
        test: share of the sentences that go to the test set, 0 to 1.
    """
    digest = hashlib.blake2b(sentence_key(text).encode(), digest_size=8, person=b"amtts-split").digest()
    place = int.from_bytes(digest, "big") / 2**64
    if place < test:
        return "test"
    return "val" if place < test + val else "train"
