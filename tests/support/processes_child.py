"""Run by torchrun: `amtts ARGUMENTS`, once or several times, stopped or watched from inside.

    processes_child.py [--stop-rank R] [--count FILE] ARGUMENTS [// ARGUMENTS ...]

`--stop-rank` sends SIGTERM to process R after its second step. `--count` makes process 0 write a line into FILE
whenever it sends gradients.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from amtts_core.contract.types import Batch
from amtts_core.training.distributed.processes import Processes, end_processes
from amtts_core.training.step import StepResult, StepRunner

RANK = os.environ.get("RANK", "0")


def stop_after(steps: int) -> None:
    plain, made = StepRunner.run, [0]

    def counted(self: StepRunner, group: Sequence[Batch], **named: Any) -> StepResult:
        result = plain(self, group, **named)
        made[0] += 1
        if made[0] == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    StepRunner.run = counted  # type: ignore[method-assign]


def count_into(path: Path) -> None:
    plain = Processes.average

    def counted(self: Processes, parameters: Sequence[nn.Parameter]) -> None:
        with path.open("a") as handle:
            handle.write(f"{len(parameters)}\n")
        plain(self, parameters)

    Processes.average = counted  # type: ignore[method-assign]


def run(arguments: list[str]) -> None:
    from amtts_cli.app import main

    try:
        main(arguments)
    except SystemExit as leaving:
        if leaving.code not in (None, 0, 128 + signal.SIGTERM):
            raise


if __name__ == "__main__":
    words = sys.argv[1:]
    while words[0].startswith("--"):
        option, value = words.pop(0), words.pop(0)
        if option == "--stop-rank" and value == RANK:
            stop_after(2)
        if option == "--count" and RANK == "0":
            count_into(Path(value))
    while "//" in words:
        end = words.index("//")
        run(words[:end])
        words = words[end + 1 :]
    run(words)
    end_processes()
