"""`make kill-test`: kills tiny trainings again and again and compares the survivors with undisturbed runs, bit by bit.

    make kill-test KILL_ARGS="--backend vits --kills 50 --seed 1"

A training is killed `PER_RUN` times: at a random time from outside, at a random file operation, inside a save or
between the backward passes of one optimiser step; by SIGKILL, or one time in four by SIGTERM. It is resumed until it
finishes. Weights, average, optimizer moments, random state, position and `seen_utterances.jsonl` must equal those of
the undisturbed run. Trainings are forked from one process that has already imported everything, because starting
Python anew takes longer than the training; `--exec` starts `python` each time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "support")]
KINDS = ("time", "file", "save", "accumulation")
SETTINGS = {
    "data.batch_seconds": 2.32,
    "training.accumulate": 3,
    "training.save_every": 2,
    "training.validate_every": 5,
    "training.log_every": 1,
    "training.sample_every": 0,
    "training.ema_decay": 0.9,
    "training.tensorboard": "false",
}


@dataclass
class Tally:
    """What happened to one backend."""

    backend: str
    runs: int = 0
    identical: int = 0
    lost: int = 0
    repeated: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    """Kills that struck, by kind, and by the signal's name."""
    faults: list[str] = field(default_factory=list)

    def row(self) -> list[object]:
        """The table's row."""
        struck = [self.kills[kind] for kind in KINDS]
        return [self.backend, self.runs, sum(struck), *struck, self.kills["SIGTERM"], self.identical]

    def cells(self) -> list[str]:
        """The table's row as text."""
        return [str(cell) for cell in [*self.row(), self.lost, self.repeated]]


COLUMNS = (
    "backend",
    "runs",
    "kills",
    *("at a random time", "at a file operation", "during a save", "mid-accumulation"),
    *("by SIGTERM", "bit-identical", "lost", "repeated"),
)


class Harness:
    """Trains one backend undisturbed, then under fire."""

    def __init__(self, backend: str, work: Path, *, seed: int, steps: int, fresh: bool) -> None:
        from tiny_voice import make_corpus

        self._backend, self._work, self._fresh = backend, work, fresh
        self._settings = {**SETTINGS, "training.max_steps": steps}
        self._random = random.Random(f"{backend}-{seed}")
        self.tally = Tally(backend)
        self._corpus = make_corpus(work / "corpus")
        began = time.monotonic()
        self._whole = work / "whole"
        assert self._train(self._whole, "never", signal.SIGKILL) == 0, (self._work / "log").read_text()
        self._seconds = time.monotonic() - began
        self._counts: dict[str, int] = json.loads((work / "counts").read_text())

    def attack(self, kills: int) -> None:
        """One training, killed up to `kills` times, and the comparison."""
        run = self._work / f"run-{self.tally.runs}"
        self.tally.runs += 1
        struck = tries = 0
        while True:
            kind = self._random.choice(KINDS) if struck < kills and tries < 8 * kills else "never"
            number = signal.SIGTERM if self._random.random() < 0.25 else signal.SIGKILL
            code = self._train(run, self._moment(kind), number)
            tries += 1
            done = self._finished(run)
            if code < 0 or code == 128 + signal.SIGTERM or (code == 0 and not done):
                struck += 1
                self.tally.kills.update((kind, number.name))
            elif code != 0:
                self.tally.faults.append(f"{run.name}: exit code {code}: {self._last_line()}")
                return
            if done and kind == "never":
                break
            if done and code == 0:  # the moment never came; the finished run is compared
                break
        wrong = differences(self._whole, run)
        self.tally.identical += not wrong
        self.tally.faults += [f"{run.name}: {what}" for what in wrong]
        self._count_samples(run)

    def _moment(self, kind: str) -> str:
        if kind == "time":
            return f"time:{round(1e6 * self._random.uniform(0, self._seconds))}"
        return f"{kind}:{self._random.randint(1, max(1, self._counts.get(kind, 1) // 2))}"

    def _train(self, run: Path, moment: str, number: signal.Signals) -> int:
        """Runs `amtts train` on `run` until it ends or is killed; the exit code, negative for a signal."""
        from tiny_voice import assignments

        arguments = ["train", "--data", str(self._corpus), "--out", str(run), "--backend", self._backend]
        arguments += ["--jobs", "1", "--set", f"data.cache={run.parent / (run.name + '-features')}"]
        for key, value in self._settings.items():
            arguments += ["--set", f"{key}={value}"]
        arguments += assignments(self._backend)
        if any((run / "checkpoints").glob("step-*")):
            arguments.append("--resume")
        inner = "never" if moment.startswith("time") else moment
        counts, log = self._work / "counts", self._work / "log"
        if self._fresh:
            script = str(ROOT / "scripts" / "kill_child.py")
            command = [sys.executable, script, inner, str(int(number)), str(counts), *arguments]
            with log.open("wb") as sink:
                child = subprocess.Popen(command, stdout=sink, stderr=sink).pid
        else:
            child = forked(inner, number, counts, log, arguments)
        if moment.startswith("time"):
            return wait(child, after=int(moment.partition(":")[2]) / 1e6, number=number)
        return wait(child)

    def _finished(self, run: Path) -> bool:
        try:
            return (run / "latest").read_text() == (self._whole / "latest").read_text()
        except FileNotFoundError:
            return False

    def _last_line(self) -> str:
        return ((self._work / "log").read_text(errors="replace").strip().splitlines() or ["(silent)"])[-1]

    def _count_samples(self, run: Path) -> None:
        whole, seen = samples(self._whole), samples(run)
        self.tally.lost += sum((whole - seen).values())
        self.tally.repeated += sum((seen - whole).values())


def forked(moment: str, number: int, counts: Path, log: Path, arguments: list[str]) -> int:
    """Starts the training in a fork of this process, which has imported everything; its process id."""
    import kill_child

    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    code = 70
    try:
        code = kill_child.run(moment, number, counts, arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int, *, after: float | None = None, number: signal.Signals = signal.SIGKILL) -> int:
    """The exit code of a child, negative for a signal; sends it `number` after so many seconds."""
    end = None if after is None else time.monotonic() + after
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() >= end:
            os.kill(child, number)
            end = None
        time.sleep(0.002)


def samples(run: Path) -> Counter[tuple[object, ...]]:
    """(step, epoch, utterance) of everything that was learnt from."""
    rows = [json.loads(line) for line in (run / "seen_utterances.jsonl").read_text().splitlines()]
    return Counter((row["step"], row["epoch"], name) for row in rows for name in row["ids"])


def differences(whole: Path, other: Path) -> list[str]:
    """What differs between the last checkpoints (every byte) and the sample ledgers of two runs."""
    out = []
    if (whole / "best").read_text() != (other / "best").read_text():
        out.append("best points elsewhere")
    if (whole / "seen_utterances.jsonl").read_bytes() != (other / "seen_utterances.jsonl").read_bytes():
        out.append("seen_utterances.jsonl differs")
    for pointer in ("latest", "best"):
        name = (whole / pointer).read_text().strip()
        for file in ("model.safetensors", "training.safetensors", "training.json"):
            pair = [folder / "checkpoints" / name / file for folder in (whole, other)]
            if not pair[1].is_file():
                out.append(f"{pointer}: {file} is missing")
            elif pair[0].read_bytes() != pair[1].read_bytes():
                out.append(f"{pointer}: {file} differs")
    return out


def warm_up(backends: Sequence[str]) -> None:
    """Imports what a training imports, so that forks start at once. One thread, no backward pass: nothing to lose."""
    import accelerate  # noqa: F401
    import torch
    from tiny_voice import tiny_backend

    import amtts_cli.app
    import amtts_cli.commands.train  # noqa: F401
    import amtts_core.run.run  # noqa: F401

    torch.set_num_threads(1)
    for backend in backends:
        tiny_backend(backend).learner()


def table(tallies: list[Tally]) -> Iterator[str]:
    """The result as a Markdown table."""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for tally in tallies:
        yield "| " + " | ".join(tally.cells()) + " |"


def main() -> int:
    """Runs the harness; 1 where a run was not bit-identical."""
    from amtts_core.contract.registry import backend_names

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backend", action="append", choices=backend_names(), help="default: all")
    parser.add_argument("--kills", type=int, default=50, help="a backend")
    parser.add_argument("--per-run", type=int, default=5, help="kills of one training at most")
    parser.add_argument("--steps", type=int, default=10, help="of a training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exec", action="store_true", help="a new Python for every training")
    options = parser.parse_args()
    backends = options.backend or backend_names()
    if not options.exec:
        warm_up(backends)
    tallies = []
    with tempfile.TemporaryDirectory() as name:
        for backend in backends:
            began = time.monotonic()
            work = Path(name) / backend
            work.mkdir()
            harness = Harness(backend, work, seed=options.seed, steps=options.steps, fresh=options.exec)
            tally = harness.tally
            while sum(tally.kills[kind] for kind in KINDS) < options.kills and len(tally.faults) < 5:
                left = options.kills - sum(tally.kills[kind] for kind in KINDS)
                harness.attack(min(options.per_run, left))
            tallies.append(tally)
            print(f"{backend}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print("\n".join(table(tallies)))
    for tally in tallies:
        for fault in tally.faults:
            print(f"{tally.backend}: {fault}", file=sys.stderr)
    return int(any(t.faults or t.identical < t.runs for t in tallies))


if __name__ == "__main__":
    sys.exit(main())
