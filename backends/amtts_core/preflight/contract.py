"""All checks of a backend: `amtts validate-e2e` makes them with a corpus, `amtts_core.testing` with made-up speech."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from amtts_core.errors import AmttsError
from amtts_core.preflight import batches, codes, declaration, learning, speech, weights
from amtts_core.preflight.subject import CheckFailed, CheckFunction, CheckSkipped, Finding, Subject

Status = Literal["ok", "skipped", "failed"]


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: of the check.
        status: `skipped` where it does not apply or could not be made.
        detail: what was found, or why it was skipped or failed.
        value: the number that it is about.
    """

    name: str
    status: Status
    detail: str
    value: float | None = None

    @property
    def ok(self) -> bool:
        """It did not fail."""
        return self.status != "failed"


CONTRACT: dict[str, CheckFunction] = {
    "declaration": declaration.declaration,
    "tokenizer required": declaration.needs_a_tokenizer,
    "text tensors": declaration.text_tensors,
    "speaker tables": declaration.speaker_tables,
    "seed": declaration.seed,
    "feature key": declaration.feature_key,
    "codec draws nothing": declaration.codec_is_quiet,
    "missing reference bundle": declaration.reference_bundle,
    "weights round trip": weights.round_trip,
    "weights that do not fit": weights.refusals,
    "features of noise": batches.features_of_noise,
    "features of almost nothing": batches.features_of_almost_nothing,
    "unusable utterances": batches.refusals,
    "collation": batches.collation,
    "finite loss": batches.finite_loss,
    "padding": batches.padding,
    "gradients": learning.gradients,
    "optimizer step": learning.optimizer_step,
    "overfit one batch": learning.overfit_one_batch,
    "text matters": learning.text_matters,
    "figures": batches.figures,
    "teacher forcing": codes.teacher_forcing,
    "next token": codes.next_token,
    "waveforms": speech.waveforms,
    "repeatable speech": speech.repeatable,
    "speech in batches": speech.batched,
    "speed": speech.speed,
}
"""In the order in which they are made; the later ones build on the earlier ones."""


def run_check(name: str, subject: Subject) -> Check:
    """Makes one check; any exception but an `AmttsError` is a bug and propagates."""
    return outcome(name, lambda: CONTRACT[name](subject))


def outcome(name: str, function: Callable[[], Finding]) -> Check:
    """The result of a function that returns a `Finding`, or raises."""
    try:
        found = function()
    except CheckSkipped as reason:
        return Check(name, "skipped", str(reason))
    except (CheckFailed, AmttsError) as fault:
        return Check(name, "failed", str(fault))
    return Check(name, "ok", found.detail, found.value)
