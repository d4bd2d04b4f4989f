"""Training on corrected words: losses on them and on the original validation set, before and after."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from amtts_core.checkpoints.checkpoint import load_strict, read_checkpoint
from amtts_core.corpus.feedback import CORRECTED, FeedbackCorpus, make_feedback_corpus
from amtts_core.errors import AmttsError
from amtts_core.run.datasets import load_set
from amtts_core.storage.atomic import replace_text
from amtts_core.training.distributed.processes import is_main, main_first

if TYPE_CHECKING:
    from amtts_core.config.run_config import RunConfig
    from amtts_core.contract.tokenizer import TextTokenizer
    from amtts_core.data.dataset import SpeechDataset
    from amtts_core.training.callbacks.base import TrainingOutcome
    from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)
REPORT = "feedback_report.json"
FOLDER = "feedback"
LEAST_REPLAY = 10
"""Utterances of the original corpus in an epoch for each corrected one: fewer, and a few words cost the others."""
Losses = dict[str, dict[str, float]]
"""Set ("corrected", "validation") -> loss -> mean over its utterances."""


@dataclass
class FeedbackReport:
    """The error on corrected words: a validation loss of the backend, `metric`, which chooses the best checkpoint too.

    Attributes:
        metric: name of the loss that measures the error.
        corpus: the corrected words.
        ratio: share of an epoch that came from the original corpus.
        before, after: losses of the initial weights, and of the best checkpoint.
        step: of that checkpoint.
    """

    metric: str
    corpus: FeedbackCorpus
    ratio: float
    before: Losses = field(default_factory=dict)
    after: Losses = field(default_factory=dict)
    step: int = 0

    @property
    def replayed(self) -> int:
        """Utterances of the original corpus in an epoch."""
        return round(self.corpus.corrected * self.ratio / (1 - self.ratio))

    def lines(self) -> list[str]:
        """The result as lines for people."""
        line = f"{self.corpus.corrected} corrected words, {self.replayed} utterances replayed an epoch"
        if self.corpus.rejected:
            line += f", {len(self.corpus.rejected)} pairs rejected (see {REPORT})"
        out = [line]
        for name, title in (("corrected", "corrected words"), ("validation", "original validation set")):
            if name in self.before and name in self.after:
                was, now = self.before[name][self.metric], self.after[name][self.metric]
                out.append(f"{title}: {self.metric} {was:.4f} before, {now:.4f} after (step {self.step})")
        return out

    def fit(self, trainer: Trainer, *, original: Path, config: RunConfig, jobs: int) -> TrainingOutcome:
        """Trains, and measures both sets before and after; the report is in the run folder from the start.

        Afterwards the network holds the weights of the best checkpoint.

        Raises:
            AmttsError: a resumed run without its report.
        """
        manifests = {"corrected": self.corpus.folder / CORRECTED, "validation": original / "val.jsonl"}
        with main_first():
            sets = {
                name: load_set(trainer.backend, manifest, config, jobs=jobs)
                for name, manifest in manifests.items()
                if manifest.is_file() and manifest.stat().st_size
            }
        self.before = _stored_before(trainer.run) if trainer.steps.step else _measured(trainer, sets, config)
        self.write(trainer.run)
        outcome = trainer.fit()
        trainer.accelerator.wait_for_everyone()
        checkpoint = read_checkpoint(trainer.run)
        load_strict(trainer.backend.network, checkpoint.stored_weights(), backend=trainer.backend.spec.name)
        self.after, self.step = _measured(trainer, sets, config), checkpoint.info.step
        self.write(trainer.run)
        for line in self.lines():
            logger.info("%s", line)
        return outcome

    def as_dict(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "metric": self.metric,
            "corrected": self.corpus.corrected,
            "replayed": self.replayed,
            "rejected": self.corpus.rejected,
            "before": self.before,
            "after": self.after,
            "step": self.step,
        }

    def write(self, run: Path) -> None:
        """Into the run folder, by the main process."""
        if not is_main():
            return
        run.mkdir(parents=True, exist_ok=True)
        replace_text(run / REPORT, json.dumps(self.as_dict(), ensure_ascii=False, indent=1) + "\n")


def open_feedback(
    source: Path, run: Path, *, data: Path, tokenizer: TextTokenizer | None, config: RunConfig, jobs: int
) -> FeedbackReport:
    """Makes the corpus in `run`/feedback, and logs the pairs that cannot be used.

    Raises:
        AmttsError: see `make_feedback_corpus`.
    """
    corpus = FeedbackCorpus(run / FOLDER, 0, [])
    with main_first():
        if is_main():
            corpus = make_feedback_corpus(
                source,
                run / FOLDER,
                original=data,
                tokenizer=tokenizer,
                jobs=jobs,
            )
    for row in corpus.rejected:
        logger.warning("feedback %s is left out: %s", row["where"], row["reason"])
    replay = with_replay(config, data).data.replay
    report = FeedbackReport(config.training.best_by, corpus, replay.ratio)
    logger.info(
        "feedback: %d corrected words, %d utterances replayed an epoch, %d pairs rejected",
        corpus.corrected,
        report.replayed,
        len(corpus.rejected),
    )
    return report


def with_replay(config: RunConfig, original: Path) -> RunConfig:
    """The settings with the original corpus mixed in, `LEAST_REPLAY` utterances or more for each corrected one.

    Settings that name a corpus to replay stay as they are.
    """
    if config.data.replay.data:
        return config
    ratio = max(config.data.replay.ratio, LEAST_REPLAY / (LEAST_REPLAY + 1))
    replay = config.data.replay.model_copy(update={"data": str(original), "ratio": ratio})
    return config.model_copy(update={"data": config.data.model_copy(update={"replay": replay})})


def _measured(trainer: Trainer, sets: dict[str, SpeechDataset], config: RunConfig) -> Losses:
    """Mean losses of the present network over each set. All processes call it."""
    found: Losses = {}
    for name, data in sets.items():
        with torch.random.fork_rng():
            found[name] = trainer.validator_of(data, config.data).measure()[0]
    return found


def _stored_before(run: Path) -> Losses:
    file = run / REPORT
    try:
        before: Losses = json.loads(file.read_text(encoding="utf-8"))["before"]
        return before
    except (OSError, ValueError, KeyError, TypeError):
        raise AmttsError(
            f"{file} lacks the losses of the initial weights",
            remedy="Begin again with --from-scratch",
        ) from None
