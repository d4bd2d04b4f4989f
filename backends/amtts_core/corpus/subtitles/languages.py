"""Captions in two languages: the lines of the wanted one are kept, the others are left out, with a note."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from amtts_core.corpus.subtitles.cue import Cue, Track
from amtts_core.text.script import script_share

_MARKUP = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}]*\}")
_OWN = 0.5  # share of the letters that makes a line one of the language
_FOREIGN = 0.1
_OFTEN = 0.25  # of the captions; fewer hold a name or a quotation in the other script, which is spoken


def keep_language(track: Track, language: str) -> str:
    """Takes lines and captions in another script out of a track of two languages; says what it did, or nothing.

    A few foreign words in a caption are spoken words and stay.

    Args:
        track: is changed.
        language: code of the language that is wanted.
    """
    notes = [_keep_lines(track, language), _keep_runs(track, language), _keep_captions(track, language)]
    return "; ".join(filter(None, notes))


def _kind(text: str, language: str) -> str:
    """ "own", "foreign", or "" for what has no letters or some of both."""
    text = _MARKUP.sub("", text)
    if not any(character.isalpha() for character in text):
        return ""
    share = script_share(text, language)
    return "own" if share >= _OWN else "foreign" if share < _FOREIGN else ""


def _keep_lines(track: Track, language: str) -> str:
    """Captions of two lines, each in a language of its own."""
    kept: dict[int, str] = {}
    for place, cue in enumerate(track.cues):
        lines = [line for line in cue.text.split("\n") if line.strip()]
        kinds = [_kind(line, language) for line in lines]
        if "own" in kinds and "foreign" in kinds:
            kept[place] = "\n".join(
                line for line, kind in zip(lines, kinds, strict=True) if kind != "foreign"
            )
    if len(kept) < max(2, _OFTEN * len(track.cues)):
        return ""
    track.cues = [replace(cue, text=kept.get(place, cue.text)) for place, cue in enumerate(track.cues)]
    return f"{len(kept)} captions hold a line in another language, which is left out"


def _keep_runs(track: Track, language: str) -> str:
    """Captions of one line that goes on in the other language."""
    kept = {place: own for place, cue in enumerate(track.cues) if (own := own_part(cue.text, language))}
    if len(kept) < max(2, 2 * _OFTEN * len(track.cues)):
        return ""
    track.cues = [replace(cue, text=kept.get(place, cue.text)) for place, cue in enumerate(track.cues)]
    return f"{len(kept)} captions go on in another language, which is left out"


def own_part(text: str, language: str) -> str:
    """The language's part of a text that says the same in another script before or after it; empty for others."""
    words = text.split()
    kinds = [_kind(word, language) for word in words]
    lettered = [(place, kind) for place, kind in enumerate(kinds) if kind]
    switches = [b[0] for a, b in zip(lettered, lettered[1:], strict=False) if a[1] != b[1]]
    if len(switches) != 1 or min(kinds.count("own"), kinds.count("foreign")) < 2:
        return ""
    own_first = lettered[0][1] == "own"
    part = words[: switches[0]] if own_first else words[switches[0] :]
    return " ".join(part).strip(" /|–—-")


def _keep_captions(track: Track, language: str) -> str:
    """Captions in the one language between those in the other."""
    kinds = [_kind(cue.text, language) for cue in track.cues]
    foreign, own = kinds.count("foreign"), kinds.count("own")
    if own < 2 or foreign < max(2, _OFTEN * len(track.cues)) or not _stand_together(track.cues, kinds):
        return ""
    for cue, kind in zip(track.cues, kinds, strict=True):
        if kind == "foreign":
            track.drop(cue, "other-language", f"it is in another language than '{language}'")
    track.cues = [cue for cue, kind in zip(track.cues, kinds, strict=True) if kind != "foreign"]
    return f"{foreign} captions are in another language and set aside"


def _stand_together(cues: Sequence[Cue], kinds: Sequence[str]) -> bool:
    """True where most foreign captions stand at the time of one of the wanted language: it is a translation."""
    own = [cue for cue, kind in zip(cues, kinds, strict=True) if kind == "own"]
    foreign = [cue for cue, kind in zip(cues, kinds, strict=True) if kind == "foreign"]
    shared = sum(any(min(a.end, b.end) - max(a.start, b.start) > 0.2 for b in own) for a in foreign)
    return shared >= 0.5 * len(foreign)
