"""What a run folder remembers, read back: curves, epochs, samples, what was left out."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Points = list[tuple[float, float]]


@dataclass
class History:
    """A run so far.

    Attributes:
        curves: metric -> (step, value), what a resumed run did again counted once.
        epochs: rows of `metrics.jsonl`.
        samples: step -> (text, path of the audio).
        excluded: why utterances were left out -> how many.
        end: the last outcome; empty while the run continues.
        marks: step -> what happened there: "resumed", or "paused 20 s".
    """

    curves: dict[str, Points] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    samples: dict[int, list[tuple[str, Path]]] = field(default_factory=dict)
    excluded: dict[str, int] = field(default_factory=dict)
    checkpoints: list[int] = field(default_factory=list)
    seconds: float = 0.0
    """From the first to the last line, without pauses and the time between two starts."""
    step: int = 0
    end: dict[str, Any] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)


def read_history(run: Path) -> History:
    """Reads `metrics.jsonl`, `excluded.jsonl` and the names of the samples; a half last line is passed over."""
    out = History()
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    last = 0.0
    for row in _rows(run / "metrics.jsonl"):
        kind, step = row.get("kind"), int(row.get("step", 0))
        if kind == "start":
            for points in curves.values():  # what came after the checkpoint is done again
                for beyond in [at for at in points if at > step]:
                    del points[beyond]
            out.epochs = [epoch for epoch in out.epochs if epoch["epoch"] < row["epoch"]]
            last, out.end = row["time"], {}
            if step:
                out.marks[step] = "resumed"
        if kind == "pause":
            out.marks[step] = f"paused {row['seconds']:.0f} s"
            out.seconds -= row["seconds"]
        out.seconds += row["time"] - last if last else 0.0
        last = row["time"]
        out.step = step if "step" in row else out.step
        if kind in ("step", "validation"):
            for name, value in row.items():
                if "/" in name and isinstance(value, (int, float)):
                    curves[name][step] = float(value)
        elif kind == "epoch":
            out.epochs.append(row)
        elif kind == "sample":
            out.samples.setdefault(step, []).append((row["text"], run / "samples" / row["path"]))
        elif kind == "checkpoint":
            out.checkpoints.append(step)
        elif kind == "end":
            out.end = row
    out.curves = {name: sorted(points.items()) for name, points in curves.items()}
    reasons = Counter(_kind_of(str(row.get("reason", ""))) for row in _rows(run / "excluded.jsonl"))
    out.excluded = dict(reasons.most_common())
    return out


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:  # cut off by a kill; the logger removes it at the next start
                continue
            if isinstance(row, dict):
                yield row


def _kind_of(reason: str) -> str:
    """A reason without names and numbers, so that equal ones can be counted."""
    reason = re.sub(r"\S*/\S+", "…", re.sub(r"'[^']*'", "…", reason))
    return re.sub(r"\d+(\.\d+)?", "N", reason)[:120]
