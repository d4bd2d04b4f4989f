"""From the start of Python to the first samples of a short sentence, and again in the same process, one thread.

Cold: a process of its own runs `import amtts; amtts.load(FOLDER).speak(TEXT)`. Warm: the same call once more; and the
first piece of `stream`. Wall and processor seconds, medians of five; `import torch` alone is the floor of all.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from support import write_untrained

RUNS = 5
TEXT = "ሰላም ለዓለም።"
ROOT = Path(__file__).parents[1]
BACKENDS = ("chatterbox-mel", "vits", "chatterbox", "chatterbox-turbo", "indextts2")
MEASURE = """
import sys, time
began = float(sys.argv[2])
if sys.argv[1] == "torch":
    import torch
    print(time.time() - began, time.process_time(), 0, 0)
    sys.exit()
import amtts
voice = amtts.load(sys.argv[1])
voice.speak(sys.argv[3])
cold, cpu = time.time() - began, time.process_time()
warm, first = [], []
for _ in range(5):
    start = time.perf_counter()
    voice.speak(sys.argv[3])
    warm.append(time.perf_counter() - start)
    start = time.perf_counter()
    next(iter(voice.stream(sys.argv[3])))
    first.append(time.perf_counter() - start)
print(cold, cpu, sorted(warm)[2], sorted(first)[2])
"""


def main() -> None:
    """Prints a row a voice."""
    print(
        f"median of {RUNS} processes each, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start"
    )
    print(f"{'':26}{'cold':>8}{'of it CPU':>11}{'warm':>9}{'warm, first piece':>19}")
    print(row("import torch", "torch"))
    with tempfile.TemporaryDirectory() as scratch:
        for name in BACKENDS:
            folder = Path(scratch) / name
            write_untrained(name, folder, preset="tiny")
            print(row(f"{name} tiny", str(folder)))
        write_untrained("vits", Path(scratch) / "small", preset="small")
        print(row("vits small", str(Path(scratch) / "small")))
    print(row("base (comes along)", str(ROOT / "examples" / "base" / "voice")))


def row(label: str, voice: str) -> str:
    """One line of the table."""
    cold, cpu, warm, first = (statistics.median(values) for values in zip(*runs(voice), strict=True))
    again = f"{warm:7.3f} s{first:17.3f} s" if warm else ""
    return f"{label:26}{cold:6.2f} s{cpu:9.2f} s{again}"


def runs(voice: str) -> list[tuple[float, ...]]:
    """Seconds of each process."""
    import time

    found = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, voice, repr(time.time()), TEXT],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        found.append(tuple(map(float, done.stdout.split())))
    return found


if __name__ == "__main__":
    main()
