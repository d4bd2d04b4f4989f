"""What a report says. `report.json` is this model; `report.html` shows it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from amtts_core.units import Seconds


class Histogram(BaseModel):
    """Counts between edges; what lies outside is counted at the ends."""

    title: str
    unit: str
    start: float
    step: float
    counts: list[int]

    def add(self, value: float) -> None:
        """Counts one value."""
        place = int((value - self.start) / self.step)
        self.counts[min(max(place, 0), len(self.counts) - 1)] += 1

    @property
    def total(self) -> int:
        """Values that were counted."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """The middle of the bin in which a share of the values is reached."""
        reached = 0
        for place, count in enumerate(self.counts):
            reached += count
            if reached >= share * self.total and count:
                return self.start + (place + 0.5) * self.step
        return self.start


class SpeakerHours(BaseModel):
    """How much a speaker says."""

    speaker: str
    utterances: int
    seconds: Seconds


class SplitSize(BaseModel):
    """Size of a split."""

    utterances: int = 0
    seconds: Seconds = 0.0


class Suspect(BaseModel):
    """An utterance to listen to first."""

    id: str
    audio: str = Field(description="relative to the corpus folder")
    speaker: str
    text: str
    duration: Seconds
    score: float = Field(description="0 is nothing to complain about")
    reasons: list[str]


class Rejection(BaseModel):
    """What one rule rejected."""

    count: int = 0
    examples: list[str] = Field(default_factory=list)


class CorpusReport(BaseModel):
    """A corpus in numbers; `total == kept + rejected`."""

    corpus: str = Field(description="name of the source it was made from, or of its folder")
    total: int = 0
    kept: int = 0
    rejected: int = 0
    seconds: Seconds = 0.0
    sample_rates: dict[str, int] = Field(default_factory=dict, description="Hz -> utterances")
    languages: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, SplitSize] = Field(default_factory=dict)
    speaker_count: int = 0
    speakers: list[SpeakerHours] = Field(
        default_factory=list, description="those who say most; the last row may be all others together"
    )
    histograms: dict[str, Histogram] = Field(default_factory=dict)
    letters: dict[str, int] = Field(
        default_factory=dict, description="every letter of the 33 x 7 table, and how often it occurs"
    )
    letters_seen: int = Field(0, description="of the table, themselves or as an Amharic homophone")
    other_letters: dict[str, int] = Field(default_factory=dict, description="Ethiopic letters off the table")
    rejections: dict[str, Rejection] = Field(default_factory=dict)
    flags: dict[str, int] = Field(default_factory=dict)
    worst: list[Suspect] = Field(default_factory=list)
    leftovers: dict[str, int] = Field(
        default_factory=dict, description="characters the language has no symbol for, most frequent first"
    )
    spaces: int = 0
    suspicious_spaces: float = 0.0
    warnings: list[str] = Field(default_factory=list)
