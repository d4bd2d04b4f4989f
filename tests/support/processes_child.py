"""Run by torchrun: `amtts ARGUMENTS` with nothing random in a step, so that one process and two can be compared.

Dropout is off and a VITS draws the same noise for the same utterance. `AMTTS_STOP_RANK=R` sends SIGTERM to process R
after its second step.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import torch

from amtts_core.backend import Batch
from amtts_core.training.step import StepResult, StepRunner


def no_dropout(module: torch.nn.Dropout, inputs: torch.Tensor) -> torch.Tensor:
    return inputs


def fixed_draws() -> None:
    from amtts_vits.learner import VitsLearner

    VitsLearner._draws = lambda self, recording: self._pass.draws(recording, fixed=True)  # type: ignore[method-assign]


def stop_after(steps: int) -> None:
    plain, made = StepRunner.run, [0]

    def counted(self: StepRunner, group: Sequence[Batch], **named: Any) -> StepResult:
        result = plain(self, group, **named)
        made[0] += 1
        if made[0] == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    StepRunner.run = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    torch.nn.Dropout.forward = no_dropout  # type: ignore[method-assign, assignment]
    torch.nn.functional.dropout = lambda inputs, *_, **__: inputs
    fixed_draws()
    if os.environ.get("AMTTS_STOP_RANK") == os.environ.get("RANK", "0"):
        stop_after(2)
    from amtts_cli.app import main

    main(sys.argv[1:])
