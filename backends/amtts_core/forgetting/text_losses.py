"""What the old languages lost: text scores before and after, and a guard that stops a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amtts_core.errors import AmttsError


@dataclass(frozen=True)
class Forgetting:
    """Scores of the same old texts before and after, lower is better.

    Attributes:
        before: mean before, such as nats per token.
        after: mean now.
        worst: largest rise of a single text, and its index.
    """

    before: float
    after: float
    worst: tuple[float, int]

    @property
    def rise(self) -> float:
        """How much worse the mean became; negative where it became better."""
        return self.after - self.before


def compare_scores(before: Sequence[float], after: Sequence[float]) -> Forgetting:
    """Summary of two scores a text.

    Raises:
        AmttsError: there are none, or not the same number.
    """
    if not before or len(before) != len(after):
        raise AmttsError(
            f"forgetting: {len(before)} scores before, {len(after)} after; expected the same texts"
        )
    rises = [now - then for then, now in zip(before, after, strict=True)]
    worst = max(range(len(rises)), key=rises.__getitem__)
    return Forgetting(sum(before) / len(before), sum(after) / len(after), (rises[worst], worst))


class ForgettingGuard:
    """Says when old texts have become too much worse than they were at the start.

    Args:
        before: scores of the old texts before training; store them with the run, so that a resumed one compares with
            the same start.
        limit: rise of the mean that stops the run; infinite only reports.
        what: is scored, "text" or "speech".
    """

    def __init__(self, before: Sequence[float], *, limit: float, what: str = "text") -> None:
        self.before = list(before)
        self.limit = limit
        self.what = what

    def check(self, after: Sequence[float]) -> Forgetting:
        """The comparison with the start.

        Raises:
            AmttsError: the mean rose above the limit; names both values.
        """
        found = compare_scores(self.before, after)
        if not found.rise <= self.limit:  # a NaN is above every limit
            raise AmttsError(
                f"the old languages' {self.what} score rose from {found.before:.3f} to {found.after:.3f}, "
                f"more than the limit of {self.limit:g}",
                remedy="Freeze the original text rows, raise the replay ratio, or lower the learning rate",
            )
        return found
