"""A caption with its time, and why one is left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from amtts_core.corpus.filters import Finding
from amtts_core.units import Seconds


@dataclass(frozen=True)
class Cue:
    """One caption.

    Attributes:
        number: place in the file, from 1, whatever its own index line says.
        start: as the file says, on the subtitles' clock.
        end: as the file says.
        text: one line a line of the caption, later one line.
        speaker: of a label in the caption.
        stamped: it carries times of single words, as automatic captions do.
    """

    number: int
    start: Seconds
    end: Seconds
    text: str
    speaker: str = ""
    stamped: bool = False


@dataclass
class Track:
    """The captions of a file that are still in use, and those that are not.

    Attributes:
        cues: in the order of their start.
        dropped: caption and reason.
        auto: the captions look machine-made: they roll, or carry times of single words.
        exact: somebody marked the stretches in the recording itself, so their times are taken as they are.
        words: each stretch holds a word; they have to be joined.
    """

    cues: list[Cue]
    dropped: list[tuple[Cue, Finding]] = field(default_factory=list)
    auto: bool = False
    exact: bool = False
    words: bool = False

    def drop(self, cue: Cue, rule: str, reason: str) -> None:
        """Notes why a caption is not used; the caller takes it out of `cues`."""
        self.dropped.append((cue, Finding(rule=rule, reason=reason)))
