"""Scores the old languages' text at every validation, logs it, and stops the run when too much is lost."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from amtts_core.config import GuardConfig
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.evaluation.old_text import old_ids, original_size, read_texts, text_scores
from amtts_core.training.callbacks import Callback
from amtts_core.vocab.forgetting import ForgettingGuard, compare_scores

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)
FILE = "forgetting.json"
METRIC = "forgetting/text"


class ForgettingWatch(Callback):
    """Adds `forgetting/text` (nats per token) and `forgetting/rise` to each validation.

    The scores at the start stand in `forgetting.json` of the run, so that a resumed one compares with the same start.

    Args:
        run: folder of the run.
        guard: texts and limit.

    Raises:
        AmttsError: the texts cannot be read.
    """

    def __init__(self, run: Path, guard: GuardConfig) -> None:
        self._file = run / FILE
        self._limit = guard.limit
        self._texts = read_texts(Path(guard.old_text))
        self._trainer: Trainer | None = None
        self._before: list[float] = []
        self.lost: AmttsError | None = None
        """Why the run was stopped; None where it was not."""

    def started(self, trainer: Trainer) -> None:
        self._trainer = trainer
        if trainer.step:
            self._before = self._stored()
        else:
            with torch.random.fork_rng(), trainer.as_spoken():
                self._before = self._scores()
            self._file.write_text(
                json.dumps({"texts": self._texts, "before": self._before}), encoding="utf-8"
            )

    def validated(self, step: int, metrics: dict[str, float], pictures: dict[str, Tensor]) -> None:
        assert self._trainer is not None
        after = self._scores()
        found = compare_scores(self._before, after)
        metrics[METRIC], metrics["forgetting/rise"] = found.after, found.rise
        if not self._limit:
            return
        try:
            ForgettingGuard(self._before, limit=self._limit).check(after)
        except AmttsError as fault:
            self.lost = AmttsError(
                f"stopped at step {step}: {fault.message} (training.guard.limit)",
                remedy=f"{fault.remedy}; the checkpoint of this step is kept in {self._trainer.run}",
            )
            self._trainer.ask_stop("forgetting")

    def _scores(self) -> list[float]:
        trainer = self._trainer
        assert trainer is not None
        tokenizer, new = trainer.backend.text_tokenizer, set(trainer.info.new_tokens)
        assert tokenizer is not None
        texts = [old_ids(tokenizer, text, new) for text in self._texts]
        return text_scores(trainer.backend, texts, rows=original_size(tokenizer.vocab_size, new))

    def _stored(self) -> list[float]:
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            before, texts = [float(value) for value in stored["before"]], stored["texts"]
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise CheckpointError(
                f"{self._file} does not tell the old texts' scores at the start ({fault})",
                remedy="Resume without training.guard.old_text",
            ) from None
        if texts != self._texts:
            raise CheckpointError(
                f"training.guard.old_text holds {len(self._texts)} other texts than at the start ({len(texts)})",
                remedy="Resume with the file it was started with",
            )
        return before
