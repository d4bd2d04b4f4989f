"""Tells early where a corpus is too small for a voice to be learned from."""

from __future__ import annotations

from collections.abc import Mapping

from amtts_core.units import Seconds

FEWEST_CLIPS = 50
SHORTEST: Seconds = 300.0
FEWEST_OF_SPEAKER = 5
_SHOWN = 8  # speakers


def size_warnings(speakers: Mapping[str, int], seconds: Seconds) -> list[str]:
    """What a person should know of the size of a corpus; nothing where it is large enough.

    Args:
        speakers: name -> clips.
        seconds: of speech.
    """
    clips = sum(speakers.values())
    out = []
    if clips < FEWEST_CLIPS or seconds < SHORTEST:
        out.append(
            f"{clips} clips with {seconds / 60:.1f} minutes of speech are too little to learn a voice from: from "
            f"published weights it takes about {FEWEST_CLIPS} clips and {SHORTEST / 60:.0f} minutes, from scratch hours"
        )
    few = sorted((often, name) for name, often in speakers.items() if often < FEWEST_OF_SPEAKER)
    if few and len(speakers) > 1:
        shown = ", ".join(f"{name or '(no name)'} {often}" for often, name in few[:_SHOWN])
        more = f" and {len(few) - _SHOWN} more" if len(few) > _SHOWN else ""
        out.append(
            f"speakers with too few clips to be learned (fewer than {FEWEST_OF_SPEAKER}): {shown}{more}"
        )
    return out
