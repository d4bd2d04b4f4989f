"""The evaluation as one HTML page: players side by side, spectrograms with word times, sortable tables.

Everything is inside the page and every text is escaped. Sound and pictures are those of the worst texts only: the page
stays small enough to be sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from amtts_core.audio.decoded import AudioError
from amtts_core.evaluation.evaluate import Evaluation
from amtts_core.evaluation.intervals import Estimate
from amtts_core.evaluation.measures import Row
from amtts_core.evaluation.report.media import PIXELS_PER_SECOND, sound_url, spectrogram_url
from amtts_core.evaluation.report.words import FIGURES, shown
from amtts_core.evaluation.summary import Finding, Summary, worst_first
from amtts_core.evaluation.systems import RECORDINGS, read_file
from amtts_core.evaluation.text_errors import LETTERS, letter_edits

PLAYED = 60
"""Texts whose sound and pictures are inside the page."""
MAIN: tuple[str, ...] = (
    "cer",
    "words_wrong",
    "run_on",
    "early_stop",
    "skipped_words",
    "distillmos",
    "dnsmos_overall",
)
MAIN += ("speaker_similarity", "mcd_db", "duration_ratio", "real_time_factor")
OF_A_TAKE: tuple[str, ...] = (
    "cer",
    "distillmos",
    "dnsmos_overall",
    "speaker_similarity",
    "mcd_db",
    "f0_rmse_semitones",
)
OF_A_TAKE += ("duration_ratio", "sound_after", "letters_per_second", "loudness_lufs", "gemination_ratio")


def write_page(
    evaluation: Evaluation, path: Path, *, title: str = "Evaluation", played: int = PLAYED
) -> None:
    """Writes the page, complete or not at all; `played` texts get sound and pictures."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as out:
        for part in _parts(evaluation, title, played):
            out.write(part + "\n")
    os.replace(temporary, path)


def _parts(evaluation: Evaluation, title: str, played: int) -> Iterable[str]:
    """The page piece by piece, so that the sound of one text is in memory at a time."""
    folder = files("amtts_core.evaluation.report")
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body>\n<h1>{escape(title)}</h1>"
    )
    yield _about(evaluation)
    yield _overview(evaluation)
    yield _findings(evaluation.findings)
    yield _subsets(evaluation)
    yield _all_figures(evaluation)
    yield _confusions(evaluation)
    yield from _items(evaluation, played)
    yield f"<script>\n{script}</script>\n</body></html>"


def _about(evaluation: Evaluation) -> str:
    systems = "".join(
        f"<li><b>{escape(name)}</b>: {escape(_said(values))}</li>"
        for name, values in evaluation.systems.items()
    )
    silent = "".join(
        f"<li>{escape(name)}: {len(ids)} of {len(evaluation.rows[name])} are silent, first {escape(ids[0])}</li>"
        for name, ids in evaluation.silent.items()
    )
    skipped = "".join(
        f"<li>not measured: <b>{escape(n)}</b>: {escape(why)}</li>" for n, why in evaluation.skipped.items()
    )
    heard = evaluation.recognizer.get("name", "none")
    floor = (
        f"The row <b>{RECORDINGS}</b> is the floor: what the same measures say of the recordings."
        if RECORDINGS in evaluation.rows
        else "There are no recordings of these texts, so no figure has a floor here."
    )
    return (
        f'<div class="card"><p>{len(evaluation.items):,} texts. Recognizer: {escape(heard)}. {floor} '
        "In brackets: 95 % intervals (bootstrap over texts).</p>"
        f"<ul>{systems}{skipped}{silent}</ul></div>"
    )


SAID: dict[str, str] = {
    "kind": "{}",
    "backend": "backend {}",
    "step": "step {}",
    "folder": "{}",
    "started_from": "started from {}",
    "first_sound_seconds": "first sound after {:.2f} s",
    "peak_memory_mb": "{:.0f} MB of memory at most",
}
"""What the report says of a system, by its name in the report."""


def _said(values: Mapping[str, object]) -> str:
    return ", ".join(
        form.format(values[name]) for name, form in SAID.items() if values.get(name) not in (None, "")
    )


def _cell(summary: Summary, name: str) -> str:
    estimate = summary.figures.get(name)
    if estimate is None:
        return '<td data-value="">–</td>'
    bounds = f" <small>{_interval(name, estimate)}</small>" if estimate.low != estimate.high else ""
    return f'<td data-value="{estimate.value:.6g}">{shown(name, estimate.value)}{bounds}</td>'


def _interval(name: str, estimate: Estimate) -> str:
    """Its bounds, without the unit: the value beside it has that."""
    return "[{}, {}]".format(*(shown(name, bound).split()[0] for bound in (estimate.low, estimate.high)))


def _head(names: Sequence[str], *before: str) -> str:
    first = "".join(f"<th data-sort>{escape(name)}</th>" for name in before)
    return first + "".join(
        f'<th data-sort title="{escape(FIGURES[name].about)}">{escape(FIGURES[name].name)}</th>'
        for name in names
    )


def _table(head: str, rows: Iterable[str]) -> str:
    return (
        f'<div class="card wide"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _overview(evaluation: Evaluation) -> str:
    summaries = [s for s in evaluation.summaries if s.subset == "all"]
    names = [name for name in MAIN if any(name in s.figures for s in summaries)]
    rows = [
        f"<tr><td><b>{escape(s.system)}</b></td><td data-value='{s.utterances}'>{s.utterances:,}</td>"
        + "".join(_cell(s, name) for name in names)
        + "</tr>"
        for s in summaries
    ]
    return "<h2>Overview</h2>" + _table(_head(names, "system", "texts"), rows)


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    rows = [
        f"<tr><td>{escape(f.first)} → {escape(f.second)}</td><td>{escape(FIGURES[f.figure].name)}</td>"
        f'<td data-value="{f.comparison.difference.value:.6g}">{shown(f.figure, f.comparison.difference.value)} '
        f"<small>{_interval(f.figure, f.comparison.difference)}</small></td>"
        f'<td data-value="{f.comparison.p_value:.6g}">{f.comparison.p_value:.4f}</td>'
        f'<td class="{f.verdict}">{f.verdict or "–"}</td></tr>'
        for f in sorted(findings, key=lambda f: not f.verdict)
    ]
    head = "".join(
        f"<th data-sort>{name}</th>" for name in ("systems", "figure", "difference", "p", "verdict")
    )
    return (
        '<h2>Differences</h2><p class="soft">Paired over the same texts. A verdict needs p under 0.05 and a difference '
        "that is worth a word.</p>" + _table(head, rows)
    )


def _subsets(evaluation: Evaluation) -> str:
    judged = ("cer", "words_wrong", "first_word_wrong", "run_on", "early_stop", "distillmos")
    names = [n for n in judged if any(n in s.figures for s in evaluation.summaries)]
    rows = [
        f"<tr><td>{escape(s.subset)}</td><td>{escape(s.system)}</td>"
        f"<td data-value='{s.utterances}'>{s.utterances:,}</td>"
        + "".join(_cell(s, n) for n in names)
        + "</tr>"
        for s in sorted(evaluation.summaries, key=lambda s: s.subset)
        if s.subset != "all"
    ]
    return "<h2>Kinds of text</h2>" + _table(_head(names, "texts", "system", "count"), rows) if rows else ""


def _all_figures(evaluation: Evaluation) -> str:
    summaries = [s for s in evaluation.summaries if s.subset == "all"]
    rows = []
    for name, label in FIGURES.items():
        if any(name in s.figures for s in summaries):
            note = f'<small class="about">{escape(label.about)}</small>'
            rows.append(
                f"<tr><td>{escape(label.name)} {note}</td>"
                + "".join(_cell(s, name) for s in summaries)
                + "</tr>"
            )
    head = "<th>figure</th>" + "".join(f"<th>{escape(s.system)}</th>" for s in summaries)
    return (
        "<h2>All figures</h2><details><summary>every figure with its interval</summary>"
        f'<div class="card wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _confusions(evaluation: Evaluation) -> str:
    parts = []
    for summary in (s for s in evaluation.summaries if s.subset == "all" and s.confusions):
        letters = ", ".join(
            f"{escape(said) or '∅'} → {escape(heard) or '∅'} <small>{count}</small>"
            for (said, heard), count in summary.confusions.most_common(30)
        )
        consonants = ", ".join(
            f"{said} → {heard} <small>{count}</small>"
            for (said, heard), count in summary.consonants.most_common(20)
        )
        ejectives = ", ".join(f"{name}: {count}" for name, count in summary.ejectives.items())
        parts.append(
            f'<div class="card"><b>{escape(summary.system)}</b><p lang="am">Letters: {letters}</p>'
            f'<p lang="am">Consonants: {consonants or "none"}</p><p>{ejectives}</p></div>'
        )
    legend = '<p class="soft">What was said → what was recognized; ∅ is nothing.</p>'
    return f"<h2>Confusions</h2>{legend}{''.join(parts)}" if parts else ""


def _items(evaluation: Evaluation, played: int) -> Iterable[str]:
    by_id = {name: {row.id: row for row in rows} for name, rows in evaluation.rows.items()}
    categories = "".join(
        f"<option>{escape(c)}</option>" for c in dict.fromkeys(i.category for i in evaluation.items)
    )
    order = worst_first(evaluation.rows)
    texts = {item.id: item for item in evaluation.items}
    yield (
        f'<h2>Texts</h2><div class="controls"><select id="order"><option value="place 1">worst first</option>'
        '<option value="place -1">best first</option><option value="length -1">longest first</option></select>'
        f'<select id="category"><option value="">all kinds</option>{categories}</select>'
        '<input id="search" type="search" placeholder="find in texts"></div>'
    )
    if len(order) > played:
        yield f'<p class="soft">Sound and pictures of the first {played} of {len(order):,} are inside this page.</p>'
    yield '<div id="items">'
    for place, name in enumerate(order):
        item = texts[name]
        takes = "".join(
            _take(by_id[system][name], with_sound=place < played) for system in by_id if name in by_id[system]
        )
        yield (
            f'<div class="item card" data-place="{place}" data-length="{len(item.text)}" '
            f'data-category="{escape(item.category)}">'
            f'<span class="soft">{escape(name)} · {escape(item.category)}</span>'
            f'<p lang="am">{escape(item.text)}</p><div class="takes">{takes}</div></div>'
        )
    yield "</div>"


def _take(row: Row, *, with_sound: bool) -> str:
    parts = [f"<b>{escape(row.system)}</b>"]
    if with_sound:
        parts.append(_player(row))
    if row.hypothesis is not None:
        parts.append(f'<p class="said" lang="am">{_marked(row)}</p>')
    numbers = [
        f"{FIGURES[name].name} {shown(name, value)}"
        for name in OF_A_TAKE
        if (value := _figure(row, name)) is not None
    ]
    parts.append(f'<p class="numbers">{escape(" · ".join(numbers))}</p>')
    return f'<div class="take">{"".join(parts)}</div>'


def _figure(row: Row, name: str) -> float | None:
    if name == "cer":
        return row.errors.cer.rate if row.errors else None
    return row.figures.get(name)


def _player(row: Row) -> str:
    try:
        decoded = read_file(Path(row.audio), start=row.start, duration=row.duration or None)
    except AudioError as fault:
        return f'<p class="soft">{escape(str(fault))}</p>'
    picture = spectrogram_url(decoded.samples, decoded.sample_rate)
    times = "".join(
        f'<i style="left:{round(start * PIXELS_PER_SECOND)}px"><span lang="am">{escape(word)}</span></i>'
        for word, start, _, _ in row.words
    )
    width = round(len(decoded.samples) / decoded.sample_rate * PIXELS_PER_SECOND)
    shown_picture = (
        f'<div class="picture"><div style="width:{width}px"><img alt="spectrogram" src="{picture}">{times}</div></div>'
        if picture
        else ""
    )
    sound = sound_url(decoded.samples, decoded.sample_rate)
    return f'<audio controls preload="none" src="{sound}"></audio>{shown_picture}'


def _marked(row: Row) -> str:
    """The letters of the text with those that are missing struck out and those that were added marked."""
    ref, hyp = LETTERS(row.reference), LETTERS(row.hypothesis or "")
    out = []
    for edit in letter_edits(ref, hyp):
        said, heard = escape(ref[edit.ref_start : edit.ref_end]), escape(hyp[edit.hyp_start : edit.hyp_end])
        if edit.kind == "hit":
            out.append(said)
        else:
            out.append((f"<del>{said}</del>" if said else "") + (f"<ins>{heard}</ins>" if heard else ""))
    return "".join(out)
