"""Sounds that a browser plays: files of the workspace, and clips that are cut out of recordings for a look."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import soundfile

from amtts_cli.studio.workspace import Workspace
from amtts_core.audio.decoded import AudioError
from amtts_core.audio.io import decode
from amtts_core.corpus.importers import Clip

LONGEST = 30.0
"""Seconds of a clip that a preview plays."""


def player(path: Path, label: str) -> str:
    """An audio element of a file of the workspace; it loads nothing before it is played."""
    source = "gradio_api/file=" + quote(str(path))
    return f'<audio controls preload="none" src="{html.escape(source)}" aria-label="{html.escape(label)}"></audio>'


def cut(workspace: Workspace, clip: Clip) -> Path | str:
    """A clip as a file that a browser plays, or why it cannot be decoded.

    Args:
        workspace: that keeps the file among its own.
        clip: of an importer.
    """
    status = clip.path.stat()
    named = repr((str(clip.path), status.st_size, status.st_mtime_ns, clip.start, clip.end, clip.where))
    target = workspace.files / "clips" / f"{hashlib.blake2b(named.encode(), digest_size=12).hexdigest()}.wav"
    if target.exists():
        return target
    length = LONGEST if clip.end is None else min(LONGEST, clip.end - clip.start)
    try:
        decoded = decode(
            clip.path,
            start=clip.start,
            duration=None if clip.end is None else length,
            max_duration=3600.0,
            data=clip.data,
            channel=clip.channel,
            track=clip.track,
        )
    except AudioError as error:
        return error.message
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part.wav")
    soundfile.write(part, decoded.samples[: round(length * decoded.sample_rate)], decoded.sample_rate)
    part.replace(target)
    return target


def clip_list(workspace: Workspace, clips: Sequence[Clip]) -> str:
    """Clips with their texts as HTML."""
    parts = []
    for number, clip in enumerate(clips, 1):
        found = cut(workspace, clip)
        sound = (
            player(found, f"{number}: {clip.text}")
            if isinstance(found, Path)
            else f"<em>{html.escape(found)}</em>"
        )
        speaker = f" <small>{html.escape(clip.speaker)}</small>" if clip.speaker else ""
        parts.append(
            f"<li>{sound}<span>{html.escape(clip.text)}{speaker}<br><small>{html.escape(clip.where)}</small></span></li>"
        )
    return f'<ol class="clips">{"".join(parts)}</ol>'
