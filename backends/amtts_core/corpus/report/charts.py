"""Charts as SVG and HTML that need no script: colors come from the page's style, values from tooltips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from amtts_core.corpus.report.model import Histogram
from amtts_core.text.amharic.letter_table import homophone

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 360, 170, 8, 24, 8


def number(value: float) -> str:
    """1234567 as 1,234,567; three digits of a fraction."""
    return f"{int(value):,}" if value == int(value) else f"{value:.3g}"


def tiles_of(tiles: Sequence[tuple[str, str]]) -> str:
    """Large figures with a few words each, side by side."""
    return (
        '<div class="tiles">'
        + "".join(f"<div><b>{escape(value)}</b><span>{escape(words)}</span></div>" for value, words in tiles)
        + "</div>"
    )


def histogram(data: Histogram) -> str:
    """Bars over the bins that hold anything, with the quartiles in words."""
    filled = [place for place, count in enumerate(data.counts) if count]
    if not filled:
        return ""
    first, last = max(0, filled[0] - 1), min(len(data.counts) - 1, filled[-1] + 1)
    counts = data.counts[first : last + 1]
    wide, high = (_WIDTH - 2 * _LEFT) / len(counts), _HEIGHT - _BOTTOM - _TOP
    bars = []
    for place, count in enumerate(counts):
        low = data.start + (first + place) * data.step
        tall = high * count / max(counts)
        tall = max(tall, 1.5) if count else 0
        edge = "below " if place + first == 0 and low < 0 else ""
        edge = "from " if place + first == len(data.counts) - 1 else edge
        upper = "" if edge == "from " else f" to {number(round(low + data.step, 6))}"
        tip = f"{edge}{number(round(low, 6))}{upper} {data.unit}: {count:,}"
        x, y = _LEFT + place * wide, _TOP + high - tall
        bars.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(wide - 1, 0.5):.1f}" height="{tall:.1f}">'
            f"<title>{escape(tip)}</title></rect>"
        )
    base = _HEIGHT - _BOTTOM
    ticks = []
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        value = data.start + (first + share * len(counts)) * data.step
        x = _LEFT + share * (_WIDTH - 2 * _LEFT)
        ticks.append(
            f'<text x="{x:.0f}" y="{base + 16}" text-anchor="{anchor}">{number(round(value, 3))}</text>'
        )
    middle = f"median {number(round(data.quantile(0.5), 3))} {data.unit}"
    spread = f"5-95 %: {number(round(data.quantile(0.05), 3))} to {number(round(data.quantile(0.95), 3))}"
    return (
        f"<figure><figcaption><b>{escape(data.title)}</b><span>{escape(middle)}, {spread}</span></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(data.title)}: {escape(middle)}">'
        f'<g class="bars">{"".join(bars)}</g>'
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{base}" y2="{base}"/>'
        f'<g class="ticks">{"".join(ticks)}</g></svg></figure>'
    )


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """A row a value: label, bar, the value in words."""
    most = max((value for _, value, _ in rows), default=0) or 1
    cells = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        f'<td class="bar"><i style="width:{max(0.4, 100 * value / most):.1f}%"></i></td>'
        f"<td>{escape(words)}</td></tr>"
        for label, value, words in rows
    )
    return f'<table class="bars">{cells}</table>'


def fidel(counts: dict[str, int], *, alike: bool) -> str:
    """The 33 x 7 table; the darker a letter, the more often it occurs.

    Args:
        counts: letter -> occurrences, row by row.
        alike: letters of one sound count for each other, as Amharic reads them.
    """
    most = math.log1p(max(counts.values(), default=0)) or 1.0
    sounding = {homophone(letter) for letter, count in counts.items() if count} if alike else set()
    cells = []
    for letter, count in counts.items():
        share = math.log1p(count) / most
        if count:
            kind, tip = "seen", f"{letter}: {count:,}"
        elif homophone(letter) in sounding:
            kind, tip = "alike", f"{letter}: only as {homophone(letter)}"
        else:
            kind, tip = "never", f"{letter}: never"
        cells.append(f'<td class="{kind}" style="--share:{share:.2f}" title="{tip}">{letter}</td>')
    columns = [cells[start : start + 7] for start in range(0, len(cells), 7)]
    return "".join(f"<tr>{''.join(column)}</tr>" for column in columns)
