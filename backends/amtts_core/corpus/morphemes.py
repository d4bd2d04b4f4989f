"""Notices transcripts whose words were split into morphemes, as in ALFFA: `የ ኢንተርኔት አገልግሎት ንም`.

Amharic writes prefixes and suffixes together with their word. A space beside one that stands alone is suspicious; a
voice that learns from such texts makes a pause there.
"""

from __future__ import annotations

_PREFIXES = frozenset("የበለከእአተመልሊሲስይ") | {"እንዲ", "እንደሚ", "የሚ", "እየ", "አል", "አስ", "ስለሚ", "በሚ", "ለሚ", "ከሚ"}
_SUFFIXES = frozenset(
    ("ንም", "ንና", "ዎች", "ኦች", "ዎቹ", "ኦቹ", "ዎችን", "ችን", "ቸው", "ያቸው", "ዋቸው", "ነት", "ነቱ", "ቸዋል", "ቶች", "ቶቹ")
)
"""Besides any other letter that stands alone."""
SUSPICIOUS = 0.1
"""Share of the spaces; ordinary text stays below 0.01, ALFFA's reaches 0.37."""
_ENOUGH = 50


class SpaceCounter:
    """Counts the spaces of a corpus, and those beside a morpheme that does not stand alone."""

    def __init__(self) -> None:
        self.spaces = 0
        self.suspicious = 0

    def add(self, text: str) -> None:
        """Counts one text."""
        words = text.split()
        self.spaces += max(0, len(words) - 1)
        self.suspicious += sum(
            is_prefix(left) or is_suffix(right) for left, right in zip(words, words[1:], strict=False)
        )

    @property
    def share(self) -> float:
        """Of the spaces that are suspicious, 0 to 1."""
        return self.suspicious / self.spaces if self.spaces else 0.0

    def warning(self) -> str:
        """The warning about it; empty where the texts look whole."""
        if self.spaces < _ENOUGH or self.share < SUSPICIOUS:
            return ""
        return (
            f"the transcripts look split into morphemes: {self.share:.0%} of their {self.spaces} spaces stand beside "
            "a prefix or suffix that Amharic writes together with its word; join them before training"
        )


def is_prefix(word: str) -> bool:
    """True for a prefix that stands alone."""
    return word in _PREFIXES


def is_suffix(word: str) -> bool:
    """True for a suffix that stands alone: known ones, and single Ethiopic letters that are no prefix."""
    if len(word) == 1:
        return "\u1200" <= word <= "\u135a" and word not in _PREFIXES
    return word in _SUFFIXES
