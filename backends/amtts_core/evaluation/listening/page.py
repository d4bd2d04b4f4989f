"""The page of a listening test: sounds, script and both languages inside; it needs no server and sends nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt

from amtts_core.audio.loudness import to_loudness
from amtts_core.evaluation.listening.design import Design, Sound
from amtts_core.evaluation.report.media import sound_url
from amtts_core.evaluation.systems import read_file
from amtts_core.storage.atomic import replace_text
from amtts_core.units import Hertz

LOUDNESS = -23.0
"""LUFS: all sounds alike, so that the louder one does not win."""
ANCHOR_HERTZ = 3500.0


def write_test(design: Design, folder: Path) -> tuple[Path, Path]:
    """Writes `listening.html` for listeners and `listening-key.json` for who scores it; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    page, key = folder / "listening.html", folder / "listening-key.json"
    name = hashlib.sha256(json.dumps([t.name for t in design.trials]).encode()).hexdigest()[:16]
    temporary = page.with_name(f".{page.name}.tmp")
    with temporary.open("w", encoding="utf-8") as out:
        for part in _parts(design, name):
            out.write(part)
    replace_text(
        key,
        json.dumps({"test": name, "kind": design.kind, "sounds": design.key()}, ensure_ascii=False, indent=1)
        + "\n",
    )
    os.replace(temporary, page)
    return page, key


def _parts(design: Design, name: str) -> Iterator[str]:
    folder = files("amtts_core.evaluation.listening")
    style, script = ((folder / file).read_text(encoding="utf-8") for file in ("style.css", "script.js"))
    yield (
        '<!doctype html>\n<html lang="am"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Listening test</title>\n'
        f"<style>\n{style}</style></head>\n<body><header><h1></h1>"
        '<select id="language" aria-label="language"><option value="am">አማርኛ</option>'
        '<option value="en">English</option>'
        '</select></header><main></main>\n<script type="application/json" id="test">'
    )
    trials = [
        {"name": t.name, "text": t.text, "sounds": list(t.sounds), "reference": t.reference}
        for t in design.trials
    ]
    head = {"id": name, "kind": design.kind, "per_listener": design.per_listener, "trials": trials}
    yield _in_script(json.dumps(head, ensure_ascii=False))[:-1] + ', "sounds": {'
    for number, sound in enumerate(design.sounds.values()):
        yield (", " if number else "") + f'"{sound.name}": "{_sound(sound)}"'
    yield f"}}}}</script>\n<script>\n{script}</script>\n</body></html>\n"


def _in_script(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")


def _sound(sound: Sound) -> str:
    row = sound.row
    decoded = read_file(Path(row.audio), start=row.start, duration=row.duration or None)
    samples = decoded.samples
    if sound.anchor:
        samples = low_pass(samples, decoded.sample_rate)
    if samples.any():
        samples = to_loudness(samples, decoded.sample_rate, target=LOUDNESS, ceiling=-1.0).samples
    return sound_url(samples, decoded.sample_rate)


def low_pass(samples: np.ndarray, rate: Hertz) -> np.ndarray:
    """The MUSHRA anchor: nothing above 3.5 kHz."""
    sections = butter(8, ANCHOR_HERTZ, fs=rate, output="sos")
    return np.asarray(sosfiltfilt(sections, samples), dtype=np.float32)
