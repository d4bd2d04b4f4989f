"""Line charts as SVG without a script; colors come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape

from amtts_core.corpus.report.charts import number
from amtts_core.training.report.history import Points

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 190, 58, 8, 10, 24
_MOST = 400  # points of one line


def chart(
    title: str,
    lines: Mapping[str, Points],
    *,
    unit: str = "",
    fold: bool = False,
    marks: Mapping[int, str] | None = None,
) -> str:
    """One chart.

    Args:
        title: above it.
        lines: name -> (step, value), drawn in the order given.
        unit: of the values, in words.
        fold: a logarithmic axis where the values are positive and span more than a factor of 4, so that the end of a
            curve can be read beside its beginning.
        marks: step -> what happened there, drawn as a vertical line.
    """
    lines = {name: finite for name, points in lines.items() if (finite := _finite(points))}
    if not lines:
        return ""
    every = [value for points in lines.values() for _, value in points]
    fold = fold and min(every) > 0 and max(every) > 4 * min(every)
    bend: Callable[[float], float] = math.log if fold else float
    low, high = _span([bend(value) for value in every])
    first = min(points[0][0] for points in lines.values())
    last = max(max(points[-1][0] for points in lines.values()), first + 1)

    def place(step: float, value: float) -> str:
        x = _LEFT + (step - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)
        y = _TOP + (1 - (bend(value) - low) / (high - low)) * (_HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f},{y:.1f}"

    drawn, names = [], []
    for order, (name, points) in enumerate(lines.items()):
        thin = _thinned(points)
        path = " ".join(place(step, value) for step, value in thin)
        drawn.append(f'<polyline class="line{order}" points="{path}"/>')
        if len(thin) <= 40:
            drawn += [
                f'<circle class="dot{order}" r="2.5" cx="{place(step, value).split(",")[0]}" '
                f'cy="{place(step, value).split(",")[1]}"><title>step {number(step)}: {value:.5g}</title></circle>'
                for step, value in thin
            ]
        names.append(f'<span><i class="line{order}"></i>{escape(name or "last")} {points[-1][1]:.4g}</span>')
    ticks = []
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        value = math.exp(value) if fold else value
        y = float(place(first, value).split(",")[1])
        ticks.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        ticks.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{axis_label(value)}</text>')
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        anchor = ("start", "middle", "end")[int(share * 2)]
        step = round(first + share * (last - first))
        ticks.append(f'<text x="{x:.0f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{number(step)}</text>')
    for step, what in (marks or {}).items():
        if first <= step <= last:
            x = float(place(step, every[0]).split(",")[0])
            ticks.append(
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}">'
                f"<title>{escape(what)} at step {number(step)}</title></line>"
            )
    words = "logarithmic" if fold else unit
    words = f"<span>{escape(words)}</span>" if words else ""
    return (
        f'<figure><figcaption><b>{escape(title)}</b>{words}<div class="key">{"".join(names)}</div></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)} over steps">'
        f'<g class="ticks">{"".join(ticks)}</g>{"".join(drawn)}</svg></figure>'
    )


def axis_label(value: float) -> str:
    """A value in at most eight characters: 1,220 and not 1.22e+03, 1.02e-3 and not 0.00102."""
    if value and not 0.01 <= abs(value) < 1e5:
        mantissa, _, power = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _finite(points: Points) -> Points:
    return [(step, value) for step, value in points if math.isfinite(value)]


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high == low:
        high, low = high + (abs(high) or 1.0) * 0.5, low - (abs(low) or 1.0) * 0.5
    return low, high


def _thinned(points: Points) -> Points:
    """At most `_MOST` points; each stands for the mean of its neighbors."""
    size = math.ceil(len(points) / _MOST)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
