"""`make bench`: runs benchmarks/bench_*.py one after the other and prints their figures with the machine.

A benchmark is a script that prints plain lines to standard output and needs no arguments. With `--write` the
output also becomes docs/benchmarks.md.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BY_HAND = "## Trainings"


def main() -> int:
    """Runs every benchmark; 1 if one failed."""
    sections, failed = [], []
    print(machine(), flush=True)
    for script in sorted((ROOT / "benchmarks").glob("bench_*.py")):
        print(f"\n== {script.stem}", flush=True)
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            check=False,
        )
        print(done.stdout, end="", flush=True)
        if done.returncode != 0:
            failed.append(script.stem)
            print(f"error: {script.stem} ended with exit code {done.returncode}", file=sys.stderr)
            continue
        sections.append(f"## {script.stem}\n\n```text\n{done.stdout.strip()}\n```")
    if "--write" in sys.argv[1:] and not failed:
        head = "# Benchmarks\n\nWritten by `make bench BENCH_ARGS=--write`; the figures hold for this machine only:"
        PAGE.write_text("\n\n".join([head, machine(), *sections, *by_hand()]) + "\n", encoding="utf-8")
    return int(bool(failed))


def by_hand() -> list[str]:
    """The part of the page that no benchmark writes: trainings, which take too long for one."""
    old = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    at = old.find(BY_HAND)
    return [old[at:].strip()] if at >= 0 else []


def machine() -> str:
    """What the figures were taken on."""
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{today}, {cpu()}, {len(os.sched_getaffinity(0))} cores, OMP_NUM_THREADS {threads}, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, torch {installed('torch')}"
    )


def cpu() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor()
    )


def installed(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
