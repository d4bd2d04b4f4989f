"""What the old languages lost: text scores before and after, and a guard that stops a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from amtts_core.errors import AmttsError


@runtime_checkable
class ScoresText(Protocol):
    """A backend whose network predicts its text."""

    def text_logits(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Logits (N + 2, V) at the positions of start, tokens and stop, and those ids (N + 2,)."""
        ...


def text_cross_entropy(logits: Tensor, tokens: Tensor, lengths: Tensor, *, rows: int = 0) -> Tensor:
    """Mean next-token cross entropy of each text, (B,) nats per token.

    Args:
        logits: (B, N, V); position n predicts token n + 1.
        tokens: (B, N) ids from start to stop, anything beyond the lengths.
        lengths: (B,), start and stop counted; at least 2.
        rows: score over the first `rows` ids only, so that a resized model is comparable with the old one; 0 takes
            all. Old ids must be the first ones, as after `--mode extend`.
    """
    kept = logits[:, :-1, : rows or None].float()
    losses = functional.cross_entropy(
        kept.transpose(1, 2), tokens[:, 1:].clamp(max=kept.shape[2] - 1), reduction="none"
    )
    counted = torch.arange(1, tokens.shape[1], device=tokens.device) < lengths[:, None]
    return (losses * counted).sum(1) / counted.sum(1)


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
