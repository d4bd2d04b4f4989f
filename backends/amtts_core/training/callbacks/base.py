"""What a logger, a progress bar or a sample speaker implements. The loop calls callbacks and knows none of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from amtts_core.training.run_state import RunState
from amtts_core.units import Seconds

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step. `metrics` are means over the steps since the last report."""

    step: int
    epoch: int
    total_steps: int
    metrics: dict[str, float]
    log_due: bool
    """True every `log_every` steps."""
    batches: int = 0
    """Batches of the step, on all processes together."""
    speed: dict[str, float] = field(default_factory=dict)
    """Since the last report, all processes together, where a log is due; see `SpeedMeter.speeds`."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One pass over the data. Sums of this process where there are several."""

    epoch: int
    seen: int
    """Utterances that the loop took."""
    expected: int
    skipped_batches: int
    """Since the run began."""
    unreadable: int
    """Utterances left out because of their data, see `excluded.jsonl`."""


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """How a run ended."""

    reason: str
    """"finished", "early stop", "control file", the name of a signal, or what a callback said."""
    step: int
    epoch: int
    seconds: float
    steps_per_second: float
    data_wait_share: float
    """Share of time the loop waited for batches."""
    padding_share: float
    """Share of the seconds of batches that were padding."""
    audio_seconds_per_second: float
    utterances_per_second: float = 0.0
    tokens_per_second: float = 0.0
    skipped_batches: int = 0
    speed: dict[str, float] = field(default_factory=dict)
    """Of training steps, without validation, samples and checkpoints; see `SpeedMeter.speeds`."""
    metrics: dict[str, float] = field(default_factory=dict)
    best_metric: float | None = None
    best_step: int | None = None


class Callback:
    """Does nothing; override what is needed. Called on the main process only."""

    metric_names: Collection[str] = ()
    """Names of the metrics that `validated` adds to those of a validation."""

    def started(self, state: RunState) -> None:
        """The loop is about to run; `state.step` is where it starts."""

    def stepped(self, report: StepReport) -> None:
        """An optimizer step is done."""

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        """A validation is done; figures are (H, W). May add to `metrics`, see `metric_names`."""

    def sampled(self, step: int, index: int, text: str, path: Path, figures: dict[str, Tensor]) -> None:
        """A sentence was synthesized into `path`; figures are (H, W), see `samples.pictures_of`."""

    def epoch_ended(self, report: EpochReport) -> None:
        """Every batch of an epoch was used."""

    def saved(self, step: int, folder: Path) -> None:
        """A checkpoint is on disk."""

    def paused(self, step: int, seconds: Seconds) -> None:
        """The run waited for so long after `step`, because the control file said so."""

    def finished(self, outcome: TrainingOutcome) -> None:
        """The loop ended."""
