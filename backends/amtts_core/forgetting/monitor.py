"""Scores the old languages' text and speech at every validation, logs them, and stops the run when too much is lost."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from amtts_core.config.run_config import RunConfig
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.forgetting.old_speech import old_speech, speech_scores
from amtts_core.forgetting.old_text import old_ids, original_size, read_texts, text_scores
from amtts_core.forgetting.text_losses import ForgettingGuard, compare_scores
from amtts_core.storage.atomic import replace_text
from amtts_core.training.callbacks.base import Callback
from amtts_core.training.run_state import RunState
from amtts_core.training.validation import VALIDATION_RNG_KEY

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.contract.backend import Backend
    from amtts_core.data.dataset import SpeechDataset

logger = logging.getLogger(__name__)
FILE = "forgetting.json"
METRICS = {"text": ("forgetting/text", "forgetting/rise"),
           "speech": ("forgetting/speech", "forgetting/speech_rise")}  # fmt: skip
"""What is scored -> name of the score, in nats per token, and of its rise since the start."""


def open_monitor(
    run: Path, config: RunConfig, backend: Backend, *, new_tokens: list[int], jobs: int
) -> ForgettingMonitor | None:
    """The monitor that `training.guard` asks for; None where it asks for none.

    Raises:
        AmttsError: texts or recordings cannot be read, or the backend predicts none.
    """
    guard = config.training.guard
    if not guard.old_text and not guard.old_data:
        if guard.limit:
            raise AmttsError(
                f"training.guard.limit {guard.limit:g} has no score to limit",
                remedy="Give training.guard.old_text a file with a sentence a line, or guard.old_data a corpus",
            )
        return None
    if guard.old_text and backend.spec.text_scoring is None:
        raise AmttsError(
            f"training.guard.old_text: backend '{backend.spec.name}' predicts no text, so old texts have no score",
            remedy="Leave it out, and keep old data in the training with data.replay",
        )
    texts = read_texts(Path(guard.old_text)) if guard.old_text else []
    speech = None
    if guard.old_data:
        data = Path(guard.old_data)
        speech = old_speech(
            backend,
            data,
            new_tokens=new_tokens,
            max_excluded=config.data.max_excluded,
            cache=config.data.cache,
            jobs=jobs,
        )
    return ForgettingMonitor(run, limit=guard.limit, texts=texts, speech=speech)


class ForgettingMonitor(Callback):
    """Adds the scores of old texts and old speech, and their rises, to each validation; see `METRICS`.

    `forgetting.json` of the run holds the scores at the start, so that a resumed run compares with the same start.

    Args:
        run: folder of the run.
        limit: rise of a mean that stops the run; 0 only reports.
        texts: of the old languages; may be empty.
        speech: of the old languages; None scores none.
    """

    def __init__(self, run: Path, *, limit: float, texts: list[str], speech: SpeechDataset | None) -> None:
        self._file = run / FILE
        self._limit = limit
        self._texts, self._speech = texts, speech
        self._state: RunState | None = None
        self._before: dict[str, list[float]] = {}
        scored = [what for what, given in (("text", bool(texts)), ("speech", speech is not None)) if given]
        self.metric_names = [name for what in scored for name in METRICS[what]]
        self.failure: AmttsError | None = None
        """Why the run was stopped; None where it was not."""

    def started(self, state: RunState) -> None:
        self._state = state
        if state.step:
            self._before = self._stored()
            return
        with torch.random.fork_rng(), state.inference_weights():
            self._before = self._scores()
        stored = {**self._scored_items(), "before": self._before}
        replace_text(self._file, json.dumps(stored, ensure_ascii=False))

    def validated(self, step: int, metrics: dict[str, float], figures: dict[str, Tensor]) -> None:
        assert self._state is not None
        for what, after in self._scores().items():
            found = compare_scores(self._before[what], after)
            score, rise = METRICS[what]
            metrics[score], metrics[rise] = found.after, found.rise
            if not self._limit or self.failure is not None:
                continue
            try:
                ForgettingGuard(self._before[what], limit=self._limit, what=what).check(after)
            except AmttsError as fault:
                self.failure = AmttsError(
                    f"stopped at step {step}: {fault.message} (training.guard.limit)",
                    remedy=f"{fault.remedy}; the checkpoint of this step is kept in {self._state.folder}",
                )
                self._state.request_stop("forgetting")

    def _scores(self) -> dict[str, list[float]]:
        state = self._state
        assert state is not None
        backend, new = state.backend, set(state.info.new_tokens)
        found = {}
        if self._texts:
            tokenizer = backend.text_tokenizer
            assert tokenizer is not None
            texts = [old_ids(tokenizer, text, new) for text in self._texts]
            found["text"] = text_scores(backend, texts, rows=original_size(tokenizer.vocab_size, new))
        if self._speech is not None:
            found["speech"] = speech_scores(
                backend,
                self._speech,
                losses=lambda batch: state.losses(batch, VALIDATION_RNG_KEY),
            )
        return found

    def _scored_items(self) -> dict[str, Any]:
        speech = [] if self._speech is None else [utterance.id for utterance in self._speech.utterances]
        return {"texts": self._texts, "speech": speech}

    def _stored(self) -> dict[str, list[float]]:
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            before = {what: [float(v) for v in values] for what, values in stored["before"].items()}
            scored_before = {"texts": stored["texts"], "speech": stored["speech"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise CheckpointError(
                f"{self._file} lacks the scores of the old languages at the start ({fault})",
                remedy="Resume without training.guard",
            ) from None
        for key, what, name in (("old_text", "texts", "text"), ("old_data", "speech", "speech")):
            now = self._scored_items()[what]
            if scored_before[what] != now or len(before.get(name, ())) != len(now):
                before_count = len(scored_before[what])
                raise CheckpointError(
                    f"training.guard.{key} differs from that at the start: {before_count} items then, {len(now)} now",
                    remedy="Resume with what it was started with",
                )
        return before
