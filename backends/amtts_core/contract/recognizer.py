"""What a speech recognizer offers. Implementations live in their own packages and are found by entry point.

B recordings, T samples, L frames, V symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from amtts_core.units import Hertz, Seconds

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was recognized in a recording.

    Attributes:
        text: words with spaces between them; empty where no speech was found.
        confidence: mean probability of what was chosen, 0 to 1; None where the model gives none.
    """

    text: str
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class Emissions:
    """What a CTC model says of every frame of one recording.

    Attributes:
        log_probs: (L, V) float32, natural log; used for alignment, so a model may have divided label priors out.
        frame_seconds: length of a frame.
        blank: id of the blank symbol; what is not aligned (space, punctuation) counts as blank, too.
    """

    log_probs: np.ndarray
    frame_seconds: Seconds
    blank: int


@runtime_checkable
class Recognizer(Protocol):
    """Waveforms to text."""

    name: str
    """For people: the entry point and where the weights are."""
    identity: str
    """Changes whenever a transcript could; names cached transcripts."""
    sample_rate: Hertz
    """Of the waveforms it is given."""

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        """The text of each waveform, (T,) float32 in [-1, 1] at `sample_rate`."""
        ...


@runtime_checkable
class FrameRecognizer(Recognizer, Protocol):
    """A recognizer that says what it recognized when: text can be aligned to a recording with it."""

    def emissions(self, waveforms: Sequence[np.ndarray]) -> list[Emissions]:
        """Frame by frame log-probabilities of each waveform."""
        ...

    def symbol_ids(self, word: str) -> list[int]:
        """Ids of the pronounced symbols of a word; empty where none is known or pronounced."""
        ...

    def best_path(self, emissions: Emissions) -> list[int]:
        """The most probable symbol of every frame, blanks included, as it would be transcribed without a text."""
        ...

    def text_of(self, symbols: Sequence[int]) -> str:
        """Letters of such ids."""
        ...


@runtime_checkable
class RecognizerClass(Protocol):
    """What an entry point of the group `amtts.recognizers` leads to."""

    @classmethod
    def reads(cls, source: str) -> bool:
        """Whether `open` could read this folder or name, by its files alone."""
        ...

    @classmethod
    def open(cls, source: str, *, device: str = "cpu") -> Recognizer:
        """The recognizer of a folder or name, in evaluation mode; an empty source means the weights that come along.

        Raises:
            AmttsError: missing or damaged weights, or a model of another kind.
        """
        ...
