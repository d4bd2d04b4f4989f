"""Train, val or test by a hash of the sentence: the same sentence is always on one side, and stays there."""

from __future__ import annotations

import bisect
import hashlib
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def sentence_key(text: str) -> str:
    """What makes two texts the same sentence: letters, marks and digits, without spaces, punctuation and case."""
    letters = "".join(character for character in text.casefold() if character.isalnum())
    return letters or text.strip()


def place_of(text: str) -> float:
    """Where a sentence stands between 0 and 1, whoever says it and whatever else is in the corpus."""
    digest = hashlib.blake2b(sentence_key(text).encode(), digest_size=8, person=b"amtts-split").digest()
    return int.from_bytes(digest, "big") / 2**64


def split_of(text: str, *, val: float, test: float) -> Split:
    """The side of a sentence; depends on nothing but the sentence and the two shares.

    Args:
        text: normalized text.
        val: share of the sentences that go to validation, 0 to 1.
        test: share of the sentences that go to the test set, 0 to 1.
    """
    place = place_of(text)
    if place < test:
        return "test"
    return "val" if place < test + val else "train"


class FewForValidation:
    """The sentences that fill up a validation set where chance gave too few: those that stand next to its share.

    The same sentences are chosen whatever the order, and a new one changes them only where it stands before them.
    """

    def __init__(self) -> None:
        self._near: list[float] = []  # places of the nearest sentences of the training set, rising
        self._rows = self._validation = 0

    def add(self, text: str, split: Split) -> None:
        """Counts a row."""
        self._rows += 1
        self._validation += split == "val"
        if split == "train":
            place = place_of(text)
            if place not in self._near:
                bisect.insort(self._near, place)
                del self._near[_MOST_OF_FEW:]

    def chosen(self, *, val: float) -> frozenset[float]:
        """Places of the sentences that go to validation after all; none where it has enough, or none are wanted."""
        wanted = next((count for least, count in _FEW if self._rows >= least), 0)
        if not val:
            return frozenset()
        return frozenset(self._near[: max(0, wanted - self._validation)])


_FEW = ((100, 5), (40, 3), (20, 2), (5, 1))
"""Rows of a corpus, and the sentences that validate at least."""
_MOST_OF_FEW = 5
