"""Which recording a command in Kaldi's `wav.scp` converts. The command is read and never run."""

from __future__ import annotations

import re
import shlex

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.importers.walk import SOUND_SUFFIXES, suffix_of

_CONVERTERS = frozenset(
    ("sox", "ffmpeg", "avconv", "flac", "sph2pipe", "opusdec", "lame", "mpg123", "cat", "wav-copy")
)
_CHANGING = frozenset(
    (
        "trim",
        "speed",
        "tempo",
        "pitch",
        "stretch",
        "reverse",
        "pad",
        "silence",
        "vad",
        "repeat",
        "delay",
        "-ss",
        "-to",
    )
    + ("-sseof", "-af", "-filter_complex", "-filter:a", "atempo", "splice", "fade", "bend", "rate-speed")
)
"""Words after which the recording is another one, or a part of it."""
_SIDES = {"sph2pipe": ("-c",), "sox": ("remix",), "ffmpeg": ("-map_channel",)}


def recording_in(command: str) -> tuple[str, int | None] | Finding:
    """Path of the only recording in a plain conversion, and the channel that it takes; or why there is none."""
    reason = f"`wav.scp` gives a command, which is never run: {command[:120]}"
    remedy = "; write the path of the recording in its place"
    try:
        steps = [shlex.split(step) for step in command.strip().strip("|").split("|")]
    except ValueError:
        return Finding(rule="command", reason=reason + remedy)
    words = [word for step in steps for word in step]
    plain = all(step and step[0].rsplit("/", 1)[-1] in _CONVERTERS for step in steps)
    if not plain or any(word in _CHANGING for word in words) or re.search(r"[;&<>`]|\$\(", command):
        return Finding(rule="command", reason=reason + remedy)
    if any(step[0].endswith(("ffmpeg", "avconv")) and "-t" in step for step in steps):
        return Finding(rule="command", reason=reason + remedy)
    named = {word for word in words if suffix_of(word) in SOUND_SUFFIXES and not word.startswith("-")}
    if len(named) != 1:
        return Finding(rule="command", reason=reason + remedy)
    return named.pop(), _channel(steps)


def _channel(steps: list[list[str]]) -> int | None:
    for step in steps:
        for option in _SIDES.get(step[0].rsplit("/", 1)[-1], ()):
            if option in step[:-1]:
                value = step[step.index(option) + 1]
                if value.isdigit() and int(value) >= 1:
                    return int(value) - 1
    return None
