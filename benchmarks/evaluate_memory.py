"""Resident memory of `amtts evaluate` while it measures the bundled corpus, every 40 utterances.

    python benchmarks/evaluate_memory.py [--checkpoint base] [--metrics text,signal]

The figure of a bounded program: the last mark is not far above the second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
CHILD = """
import sys
from pathlib import Path
import amtts
from amtts_core.memory import keep_few_kernels

if sys.argv[1] == "1":
    keep_few_kernels()
checkpoints = [sys.argv[4]] if sys.argv[4] else []
metrics = tuple(sys.argv[5].split(",")) if sys.argv[5] else None
amtts.evaluate(checkpoints, Path(sys.argv[3]), manifest=Path(sys.argv[2]), public_list=False, players=0,
    metrics=metrics, on_progress=lambda system, done, total: print(system, done, total, flush=True))
"""


def main() -> None:
    """Prints megabytes by utterances, with all kernels kept and with few."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--metrics", default="text,alignment,signal")
    parser.add_argument("--utterances", type=int, default=0, help="0 takes all")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        prepare = [
            sys.executable,
            "-m",
            "amtts_cli",
            "prepare",
            str(ROOT / "examples/corpus"),
            "--out",
            str(data),
        ]
        subprocess.run([*prepare, "--val", "0", "--test", "0"], check=True, capture_output=True)
        lines = (data / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (data / "all.jsonl").write_text("".join(lines[: asked.utterances or None]), encoding="utf-8")
        for few in ("0", "1"):
            out = Path(folder) / f"evaluation-{few}"
            words = [few, str(data / "all.jsonl"), str(out), asked.checkpoint, asked.metrics]
            print("few kernels:" if few == "1" else "all kernels:", *measured(words), flush=True)


def measured(words: list[str]) -> list[str]:
    """`utterances megabytes` at every 40th utterance."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, *words], stdout=subprocess.PIPE, text=True)
    process, marks, before = psutil.Process(child.pid), [], -1
    assert child.stdout
    for line in child.stdout:
        system, done, _ = line.rsplit(maxsplit=2)
        if (mark := int(done) // 40) != before:
            marks.append(f"{system} {done} {process.memory_info().rss / 2**20:.0f} MB;")
            before = mark
    if child.wait():
        sys.exit(f"error: the evaluation ended with {child.returncode}")
    return marks


if __name__ == "__main__":
    main()
