"""Speech targets that are one step off: the loss falls as it should, and the check of the next token fails.

A public trainer was shipped with this fault. `amtts validate-e2e` makes the same check with a corpus.
"""

from __future__ import annotations

import dataclasses

import pytest
from tiny_voice import NEEDS

from amtts_core.contract.types import Batch
from amtts_core.preflight.contract import run_check
from amtts_core.speech_lm.learner import PassInputs
from amtts_core.speech_lm.losses import IGNORED
from amtts_core.testing.suite import smallest


@pytest.mark.parametrize("family", ["chatterbox", "indextts2"])
@pytest.mark.parametrize(("late", "status", "shift"), [(0, "ok", 1), (1, "failed", 2), (-1, "failed", 0)])
def test_targets_that_are_a_step_off_are_found(
    family: str, late: int, status: str, shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = smallest(family, model=NEEDS.get(family, {}).get("model", {}))
    subject.steps = 60
    own = subject.backend.learner_class  # type: ignore[attr-defined]

    class Shifted(own):  # type: ignore[misc, valid-type]
        def prepare(self, batch: Batch) -> PassInputs:
            inputs = super().prepare(batch)
            targets = inputs.targets.roll(-late, 1)
            if late > 0:
                targets[:, -late:] = IGNORED
            if late < 0:
                targets[:, :-late] = IGNORED
            return dataclasses.replace(inputs, targets=targets)

    monkeypatch.setattr(type(subject.backend), "learner_class", Shifted)
    found = run_check("next token", subject)
    assert found.status == status, found.detail
    history = subject.overfit()
    assert history[-1] < 0.7 * history[0], "the loss alone shows nothing"
    if status == "failed":
        assert f"predicts the token of shift {shift}, expected 1" in found.detail
