"""The report as one HTML page: style, charts, figures and audio inside of it, no script, every text escaped."""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files
from pathlib import Path

from amtts_core.corpus.report.charts import bars, tiles_of
from amtts_core.corpus.report.page import duration
from amtts_core.training.report.curves import chart
from amtts_core.training.report.history import History, Points, read_history

PICTURES = "figures"
_LARGEST = 2_000_000  # bytes of a file that is put inside the page
_ROUNDS = 5
_EPOCHS = 8
_SPEED = {
    "speed/audio_seconds_per_second": ("Speech", "seconds of training speech per second", 1.0),
    "speed/utterances_per_second": ("Utterances", "per second", 1.0),
    "speed/data_wait_share": ("Waiting for data", "% of the time", 100.0),
    "speed/padding_share": ("Padding", "% of the frames", 100.0),
    "speed/mfu": ("Share of the GPU's peak", "%", 100.0),
}


def render(run: Path) -> str:
    """The page of a run folder."""
    history = read_history(run)
    style = "\n".join(
        (files(package) / "style.css").read_text(encoding="utf-8")
        for package in ("amtts_core.corpus.report", "amtts_core.training.report")
    )
    parts = [_tiles(history), _losses(history), _samples(history), _pictures(run)]
    parts += [_optimizer(history), _speed(history), _excluded(history), _epochs(history)]
    title = escape(f"{run.resolve().name}: training report")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>\n<style>\n{style}</style></head>\n<body>\n<h1>{escape(run.resolve().name)}</h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _tiles(history: History) -> str:
    end = history.end
    state = str(end.get("reason", "")) or "still running when this was written"
    tiles = [(f"{history.step:,}", f"steps, {state}"), (duration(history.seconds), "of training")]
    if end.get("best_step") is not None:
        tiles.append((f"{end['best_metric']:.4g}", f"best validation, at step {end['best_step']:,}"))
    speed = end.get("speed") or {}
    if "speed/audio_seconds_per_second" in speed:
        tiles.append((f"{speed['speed/audio_seconds_per_second']:.0f} s", "of training speech per second"))
        tiles.append((f"{speed['speed/padding_share']:.1%}", "of the frames were padding"))
    skipped = max([end.get("skipped_batches") or 0, *(row["skipped_batches"] for row in history.epochs)])
    tiles.append((f"{skipped:,}", "batches skipped, their loss was not finite"))
    tiles.append((f"{sum(history.excluded.values()):,}", "utterances left out"))
    return tiles_of(tiles)


def _losses(history: History) -> str:
    names = [name.split("/", 1)[1] for name in history.curves if name.startswith(("train/", "val/"))]
    names = [name for name in dict.fromkeys(names) if not name.startswith(("grad_norm", "learning_rate"))]
    names.sort(key=lambda name: (not name.endswith("total"), name))
    charts = "".join(
        chart(
            name,
            {
                words: history.curves[f"{stage}/{name}"]
                for words, stage in (("training", "train"), ("validation", "val"))
                if f"{stage}/{name}" in history.curves
            },
            fold=True,
            marks=history.marks,
        )
        for name in names
    )
    return f'<h2>Losses</h2><div class="grid">{charts}</div>' if charts else ""


def _optimizer(history: History) -> str:
    charts = "".join(
        chart(
            name.removeprefix("train/").replace("_", " ").replace("/", ", "),
            {"": points},
            marks=history.marks,
        )
        for name, points in history.curves.items()
        if name.startswith(("train/learning_rate", "train/grad_norm"))
    )
    return f'<h2>Optimizer</h2><div class="grid">{charts}</div>' if charts else ""


def _speed(history: History) -> str:
    charts = ""
    for name, (title, unit, times) in _SPEED.items():
        points: Points = [(step, value * times) for step, value in history.curves.get(name, [])]
        charts += chart(title, {"": points}, unit=unit, marks=history.marks)
    return f'<h2>Speed</h2><div class="grid">{charts}</div>' if charts else ""


def _samples(history: History) -> str:
    steps = [step for step, said in history.samples.items() if any(path.is_file() for _, path in said)]
    steps.sort(reverse=True)
    if not steps:
        return ""
    if len(steps) > _ROUNDS:  # the newest, and some on the way back to the first
        steps = [steps[round(n * (len(steps) - 1) / (_ROUNDS - 1))] for n in range(_ROUNDS)]
    rows = "".join(
        f'<li class="card"><span class="soft">step {step:,}</span><p lang="am">{escape(text)}</p>'
        f'<audio controls preload="none" src="{source}"></audio>'
        f"{_looks(path) if step == steps[0] else ''}</li>"
        for step in steps
        for text, path in history.samples[step]
        if (source := _inside(path, "audio/wav"))
    )
    return f'<h2>Samples</h2><ul class="spoken">{rows}</ul>'


def _looks(sample: Path) -> str:
    """The figures beside a sample."""
    figures = "".join(
        f'<img alt="{escape(path.stem)}" title="{escape(path.stem.removeprefix(sample.stem + "-"))}" src="{source}">'
        for path in sorted(sample.parent.glob(f"{sample.stem}-*.png"))
        if (source := _inside(path, "image/png"))
    )
    return f'<div class="figures">{figures}</div>' if figures else ""


def _pictures(run: Path) -> str:
    figures = "".join(
        f"<figure><figcaption><b>{escape(path.stem.replace('--', ' / '))}</b></figcaption>"
        f'<img alt="{escape(path.stem)}" src="{source}"></figure>'
        for path in sorted((run / PICTURES).glob("*.png"))
        if (source := _inside(path, "image/png"))
    )
    if not figures:
        return ""
    return (
        '<h2>Pictures</h2><p class="soft">Of one validation utterance; time runs to the right, low is below.</p>'
        f'<div class="figures">{figures}</div>'
    )


def _inside(path: Path, kind: str) -> str:
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return ""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _excluded(history: History) -> str:
    if not history.excluded:
        return ""
    shown = bars([(reason, count, f"{count:,}") for reason, count in history.excluded.items()])
    return f'<h2>Left out</h2><div class="card">{shown}</div>'


def _epochs(history: History) -> str:
    if not history.epochs:
        return ""
    rows = [
        f"<tr><td>{row['epoch']:,}</td><td>{row['seen']:,}</td><td>{row['expected']:,}</td>"
        f"<td>{row['skipped_batches']:,}</td><td>{row['unreadable']:,}</td></tr>"
        for row in history.epochs
    ]
    head = (
        "<tr><th>epoch</th><th>utterances seen</th><th>expected</th><th>batches skipped so far</th>"
        "<th>utterances unreadable</th></tr>"
    )
    early, late = rows[:-_EPOCHS], rows[-_EPOCHS:]
    before = (
        f"<details><summary>the {len(early):,} before</summary>"
        f'<table class="rows">{head}{"".join(early)}</table></details>'
        if early
        else ""
    )
    return f'<h2>Epochs</h2><div class="card"><table class="rows">{head}{"".join(late)}</table>{before}</div>'
