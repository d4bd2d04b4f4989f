"""What a logger, a progress bar or a sampler implements; the loop calls them and knows none of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimiser step. `metrics` are means over the steps since the last report."""

    step: int
    epoch: int
    total_steps: int
    metrics: dict[str, float]
    log_due: bool
    """True every `log_every` steps."""
    speed: dict[str, float] = field(default_factory=dict)
    """Since the last report, all processes together, where a log is due; see `throughput.speeds`."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One pass over the data. Sums of this process where there are several."""

    epoch: int
    seen: int
    """Utterances handed to the loop."""
    expected: int
    skipped_batches: int
    """Since the run began."""
    unreadable: int
    """Utterances left out because of their data, see `excluded.jsonl`."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    reason: str
    """"finished", "early stop", or the name of a signal."""
    step: int
    epoch: int
    seconds: float
    steps_per_second: float
    data_wait_share: float
    """Share of time the loop waited for batches."""
    padding_share: float
    """Share of batch frames that were padding."""
    audio_seconds_per_second: float
    utterances_per_second: float = 0.0
    tokens_per_second: float = 0.0
    skipped_batches: int = 0
    speed: dict[str, float] = field(default_factory=dict)
    """While learning: validation, samples and checkpoints taken off; see `throughput.speeds`."""
    metrics: dict[str, float] = field(default_factory=dict)
    best_metric: float | None = None
    best_step: int | None = None


class Callback:
    """Does nothing; override what is needed."""

    def started(self, trainer: Trainer) -> None:
        """The loop is about to run; `trainer.step` is where it starts."""

    def stepped(self, report: StepReport) -> None:
        """An optimiser step is done."""

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        """A validation is done; figures are (H, W)."""

    def sampled(self, step: int, index: int, text: str, path: Path, figures: dict[str, Tensor]) -> None:
        """A sentence was spoken into `path`; figures are (H, W), see `samples.pictures_of`."""

    def epoch_ended(self, report: EpochReport) -> None:
        """Every utterance of an epoch was handed out."""

    def saved(self, step: int, folder: Path) -> None:
        """A checkpoint is on disk."""

    def finished(self, outcome: Outcome) -> None:
        """The loop ended."""
