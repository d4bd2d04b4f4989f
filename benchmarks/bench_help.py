"""CPU seconds of what a user waits for at the prompt: `amtts --help`, a command's help and shell completion."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time

RUNS = 7
COMPLETION = {"_AMTTS_COMPLETE": "complete_bash", "COMP_WORDS": "amtts tr", "COMP_CWORD": "1"}
CASES = (
    ("python -c pass", ["-c", "pass"], {}),
    ("amtts --help", ["-m", "amtts_cli", "--help"], {}),
    ("amtts train --help", ["-m", "amtts_cli", "train", "--help"], {}),
    ("shell completion", ["-m", "amtts_cli"], COMPLETION),
)


def main() -> None:
    """Prints the median and the worst of a few runs of each case."""
    print(f"median and worst of {RUNS} runs, user + system")
    for name, arguments, extra in CASES:
        cpu, wall = zip(*(measure(arguments, extra) for _ in range(RUNS)), strict=True)
        print(
            f"{name:20} {statistics.median(cpu):.3f} s CPU (worst {max(cpu):.3f}), "
            f"{statistics.median(wall):.3f} s wall (worst {max(wall):.3f})"
        )


def measure(arguments: list[str], extra: dict[str, str]) -> tuple[float, float]:
    """CPU and wall seconds of one run."""
    before, began = used(), time.monotonic()
    subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **extra}, stdout=subprocess.DEVNULL, check=True
    )
    return used() - before, time.monotonic() - began


def used() -> float:
    """CPU seconds of all finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
