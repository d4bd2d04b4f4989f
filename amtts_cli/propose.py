"""Settings for a voice, by minutes of speech and by machine; figures of docs/few-minutes.md and docs/choose.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amtts_core.checkpoints.shipped import shipped_checkpoint
from amtts_core.corpus.pool import cores
from amtts_core.errors import AmttsError
from amtts_core.units import Seconds

BASE = "base"
SCRATCH = "scratch"
STEPS, MOST_STEPS = 600, 2000
"""Optimizer steps from the base voice: measured for 3 to 6 minutes, and the most that is proposed for more."""
_STEPS_A_MINUTE = 100  # 5.7 minutes were best at step 600 of 600
_STEP: Seconds = 1.1  # on two cores, from the base voice: 600 steps in 11 minutes
_SCRATCH_MINUTES = 5  # on two cores, 26 minutes of speech
_PREPARE = 0.05  # seconds of work on a second of speech, one core; 26 minutes took about a minute
_MEASURED = (3.0, 12.0)  # minutes of a person that training from the base voice was tried with
_ENOUGH = 20.0  # minutes without the base voice
_PUBLISHED = (
    60.0,
    8 << 30,
)  # minutes and bytes of GPU memory from which published weights are worth their trouble


@dataclass(frozen=True)
class Hardware:
    """What training can use.

    Attributes:
        cores: of the processor.
        gpu: its name; empty without one.
        gpu_bytes: its memory.
    """

    cores: int
    gpu: str = ""
    gpu_bytes: int = 0

    @classmethod
    def here(cls) -> Hardware:
        """This machine."""
        import torch

        if not torch.cuda.is_available():
            return cls(cores())
        found = torch.cuda.get_device_properties(0)
        return cls(cores(), found.name, found.total_memory)

    def describe(self) -> str:
        """The machine in a few words."""
        if not self.gpu:
            return f"no GPU, {self.cores} CPU core{'s' if self.cores != 1 else ''}"
        return f"{self.gpu} with {self.gpu_bytes / 2**30:.0f} GiB"


@dataclass(frozen=True)
class Proposal:
    """How a voice should be trained.

    Attributes:
        start: "base", "scratch", or weights that a person named.
        settings: nested settings of the run.
        minutes: about how long preparing and training take; None where that was never measured.
        said: the proposal in one line.
        notes: what a person should know of it.
    """

    start: str
    settings: Mapping[str, Any]
    minutes: int | None
    said: str
    notes: tuple[str, ...] = field(default_factory=tuple)


def propose(seconds: Seconds, machine: Hardware, *, language: str = "am", start: str = "") -> Proposal:
    """Chooses what to start from, how many steps to make, and says how long that takes.

    Args:
        seconds: of speech.
        machine: that trains.
        language: of the texts.
        start: "base", "scratch", or a run or checkpoint; empty chooses.

    Raises:
        AmttsError: the base voice does not speak the language.
    """
    minutes = seconds / 60
    if start == BASE and language != "am":
        raise AmttsError(
            f"--start base: the base voice speaks Amharic (am), the language here is '{language}'",
            remedy="Use --start scratch, which wants 20 minutes or more",
        )
    chosen = start or (BASE if language == "am" else SCRATCH)
    have = f"{_amount(minutes)} of speech, {machine.describe()}"
    if chosen == SCRATCH:
        return _scratch(minutes, machine, have)
    steps = STEPS if chosen != BASE else _steps(minutes)
    notes = _base_notes(minutes, machine) if chosen == BASE else []
    work = None if machine.gpu else _minutes(steps * _STEP, seconds, machine)
    what = "the base voice" if chosen == BASE else chosen
    said = f"{have}: start from {what}, at most {steps} steps, {_about(work)}"
    return Proposal(chosen, {"training": {"max_steps": steps}}, work, said, tuple(notes))


def _scratch(minutes: float, machine: Hardware, have: str) -> Proposal:
    vocoder = shipped_checkpoint(Path(BASE))
    settings: dict[str, Any] = {"backend": "chatterbox-mel"}
    if vocoder is not None:
        settings["model"] = {"vocoder": str(vocoder / "vocoder")}
    notes = []
    if minutes < _ENOUGH:
        notes.append(
            f"{_amount(minutes)} is little without the base voice: 6.5 minutes of a person gave a whisper, "
            "26 minutes of a synthetic voice were understood"
        )
    work = None if machine.gpu else _minutes(_SCRATCH_MINUTES * 60, minutes * 60, machine)
    return Proposal(
        SCRATCH, settings, work, f"{have}: chatterbox-mel from nothing, {_about(work)}", tuple(notes)
    )


def _steps(minutes: float) -> int:
    return min(MOST_STEPS, max(STEPS, 100 * round(minutes * _STEPS_A_MINUTE / 100)))


def _base_notes(minutes: float, machine: Hardware) -> list[str]:
    notes = []
    least, most = _MEASURED
    if minutes < least:
        notes.append(
            f"{_amount(minutes)} is less than was ever measured ({least:g} minutes): record more if you can"
        )
    elif minutes > most:
        notes.append(f"more than {most:g} minutes from the base voice were not measured; it stops by itself")
    if machine.gpu and minutes >= _PUBLISHED[0] and machine.gpu_bytes >= _PUBLISHED[1]:
        notes.append(
            "with so much speech and this GPU, Chatterbox's published weights are worth a try: "
            "docs/tutorials/chatterbox-amharic.md"
        )
    return notes


def _minutes(training: Seconds, speech: Seconds, machine: Hardware) -> int:
    """Rounded up to 5 minutes; figures were measured on two cores, and more than those help little."""
    work = (training + _PREPARE * speech) * 2 / min(2, max(1, machine.cores))
    return max(5, 5 * math.ceil(work / 300))


def _about(minutes: int | None) -> str:
    if minutes is None:
        return "time on this GPU not measured"
    return f"about {minutes} minutes" if minutes < 120 else f"about {minutes / 60:.0f} hours"


def _amount(minutes: float) -> str:
    return f"{minutes:.1f} minutes" if minutes < 10 else f"{minutes:.0f} minutes"
