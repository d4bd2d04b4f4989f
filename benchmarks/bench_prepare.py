"""Clips a second and core of `amtts prepare` over a corpus, one process, everything done and then nothing new.

python benchmarks/bench_prepare.py examples/corpus [--repeat 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from amtts_core.corpus.prepare import prepare_corpus
from amtts_core.corpus.prepare_report import PrepareReport
from amtts_core.corpus.settings import PrepareSettings


def timed(source: Path, out: Path) -> tuple[float, PrepareReport]:
    """Seconds of processor time of one run."""
    start = time.process_time()
    report = prepare_corpus(source, out, PrepareSettings(), jobs=1)
    return time.process_time() - start, report


def main() -> None:
    """Prints one line for a first run and one for a rerun; the best of `--repeat` counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = Path(__file__).parents[1] / "examples" / "corpus"
    parser.add_argument("source", type=Path, nargs="?", default=default)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    first, rerun = [], []
    for _ in range(arguments.repeat):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            first.append(timed(arguments.source, out))
            rerun.append(timed(arguments.source, out))
    for name, runs in (("everything", first), ("nothing new", rerun)):
        seconds, report = min(runs, key=lambda run: run[0])
        print(
            f"{name}: {report.total / seconds:.0f} clips/s, {report.seconds / seconds:.0f} x real time "
            f"({report.total} clips, {report.seconds / 60:.1f} minutes, {seconds:.2f} s of processor time)"
        )


if __name__ == "__main__":
    main()
