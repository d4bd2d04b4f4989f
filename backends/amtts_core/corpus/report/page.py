"""The report as one HTML page: style and charts inside of it, no script, every text escaped."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from amtts_core.corpus.report.charts import bars, fidel, histogram, tiles_of
from amtts_core.corpus.report.model import CorpusReport, Suspect
from amtts_core.units import Seconds

_TYPES = {".flac": "audio/flac", ".wav": "audio/wav", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}
_LARGEST = 2_000_000  # bytes of a file that is put inside the page
_ALL = 12_000_000  # bytes of all of them; the rest is played from the corpus folder


def render(report: CorpusReport, folder: Path, *, embed_audio: bool = False) -> str:
    """The page.

    Args:
        report: what to show.
        folder: of the corpus; audio is named relative to it.
        embed_audio: puts the audio of the worst utterances inside, so that the page can be sent alone.
    """
    style = (files("amtts_core.corpus.report") / "style.css").read_text(encoding="utf-8")
    parts = [_tiles(report), _warnings(report), _splits_and_rejections(report)]
    charts = "".join(histogram(data) for data in report.histograms.values())
    parts.append(f'<h2>Measures</h2><div class="grid">{charts}</div>')
    parts += [_speakers(report), _fidel(report), _leftovers(report)]
    parts.append(_worst(report, folder, embed_audio))
    title = escape(f"{report.corpus}: corpus report")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>\n<style>\n{style}</style></head>\n<body>\n"
        f"<h1>{escape(report.corpus)}</h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def duration(seconds: Seconds) -> str:
    """Hours from one hour on, minutes from one minute on."""
    if seconds >= 3600:
        return f"{seconds / 3600:.2f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"


def _tiles(report: CorpusReport) -> str:
    share = report.rejected / report.total if report.total else 0.0
    mean = report.seconds / report.kept if report.kept else 0.0
    tiles = [
        (duration(report.seconds), "of speech"),
        (f"{report.kept:,}", f"utterances, {mean:.1f} s on average"),
        (f"{report.rejected:,}", f"rejected, {share:.1%} of {report.total:,}"),
        (f"{report.speaker_count or 1:,}", "speakers" if report.speaker_count > 1 else "speaker"),
        (f"{report.letters_seen} of {len(report.letters)}", "letters of the fidel table"),
    ]
    if report.flags:
        tiles.append((f"{sum(report.flags.values()):,}", "kept, but flagged: " + ", ".join(report.flags)))
    if report.spaces:
        tiles.append((f"{report.suspicious_spaces:.1%}", "of the spaces look as if inside a word"))
    return tiles_of(tiles)


def _warnings(report: CorpusReport) -> str:
    if not report.warnings:
        return ""
    rows = "".join(f"<p>{escape(warning)}</p>" for warning in report.warnings)
    return f'<div class="card warnings">{rows}</div>'


def _splits_and_rejections(report: CorpusReport) -> str:
    splits = bars(
        [
            (name or "(none)", size.seconds, f"{size.utterances:,} / {duration(size.seconds)}")
            for name, size in report.splits.items()
        ]
    )
    if report.rejections:
        shown = bars([(rule, entry.count, f"{entry.count:,}") for rule, entry in report.rejections.items()])
        examples = "".join(
            f"<details><summary>{escape(rule)}: examples</summary><ul>"
            + "".join(f"<li>{escape(example)}</li>" for example in entry.examples)
            + "</ul></details>"
            for rule, entry in report.rejections.items()
        )
    else:
        shown, examples = '<p class="soft">Nothing was rejected.</p>', ""
    return (
        f'<div class="two"><section><h2>Splits</h2><div class="card">{splits}</div></section>'
        f'<section><h2>Rejected, by rule</h2><div class="card">{shown}{examples}</div></section></div>'
    )


def _speakers(report: CorpusReport) -> str:
    rows = [
        (row.speaker, row.seconds, f"{row.utterances:,} / {duration(row.seconds)}") for row in report.speakers
    ]
    return f'<h2>Speech per speaker</h2><div class="card">{bars(rows)}</div>'


def _fidel(report: CorpusReport) -> str:
    alike = set(report.languages) <= {"am"}
    cells = fidel(report.letters, alike=alike).split("</tr>")[:-1]
    rows = [row + "</tr>" for row in cells]
    blocks = "".join(
        f"<table>{''.join(rows[start : start + 11])}</table>" for start in range(0, len(rows), 11)
    )
    never = len(report.letters) - report.letters_seen
    return (
        f'<h2>Fidel coverage</h2><p class="soft">{report.letters_seen} of {len(report.letters)} letters occur'
        f"{', themselves or as a homophone' if alike else ''}; {never} never do.</p>"
        '<div class="key"><span><i class="seen" style="--share:.15"></i>rare</span>'
        '<span><i class="seen" style="--share:1"></i>frequent</span>'
        + ('<span><i class="alike"></i>only as its homophone</span>' if alike else "")
        + f'<span><i class="never"></i>never</span></div><div class="card fidel">{blocks}</div>'
    )


def _leftovers(report: CorpusReport) -> str:
    if not report.leftovers:
        return ""
    shown = "".join(
        f'<span title="{escape(unicodedata.name(character, "unnamed"))}">{escape(_visible(character))} '
        f'<span class="soft" style="border:0;padding:0;margin:0">U+{ord(character):04X}</span> {count:,}</span>'
        for character, count in list(report.leftovers.items())[:100]
    )
    return (
        "<h2>Left over by the normalizer</h2><p class='soft'>Characters that the language has no symbol for.</p>"
        f'<div class="card left">{shown}</div>'
    )


def _visible(character: str) -> str:
    return character if character.isprintable() else "\ufffd"


def _worst(report: CorpusReport, folder: Path, embed_audio: bool) -> str:
    if not report.worst:
        return '<h2>Listen to these first</h2><p class="soft">No utterance stands out.</p>'
    sources = _sources(report.worst, folder, embed_audio)
    rows = "".join(
        '<li class="card"><div><p>'
        + "".join(f'<span class="tag">{escape(reason)}</span>' for reason in suspect.reasons)
        + f"</p><p>{escape(suspect.text)}</p>"
        + f'<p class="soft">{escape(suspect.id)}{escape(", " + suspect.speaker if suspect.speaker else "")}, '
        + f"{suspect.duration:.1f} s</p></div>"
        + f'<audio controls preload="none" src="{escape(source)}"></audio></li>'
        for suspect, source in zip(report.worst, sources, strict=True)
    )
    return f'<h2>Listen to these first</h2><ul class="worst">{rows}</ul>'


def _sources(suspects: Sequence[Suspect], folder: Path, embed_audio: bool) -> list[str]:
    """Where the players find their audio: in the page itself, as long as that stays small."""
    left, out = _ALL if embed_audio else 0, []
    for suspect in suspects:
        path = Path(suspect.audio)
        kind, file = _TYPES.get(path.suffix.lower()), folder / path
        if kind and file.is_file() and file.stat().st_size <= min(left, _LARGEST):
            content = file.read_bytes()
            left -= len(content)
            out.append(f"data:{kind};base64,{base64.b64encode(content).decode()}")
        else:
            out.append(path.as_uri() if path.is_absolute() else quote(path.as_posix()))
    return out
