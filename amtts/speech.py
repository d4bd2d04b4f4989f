"""What a voice said: samples, word times, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from amtts_core.contract.recognizer import FrameRecognizer


@dataclass(frozen=True)
class Word:
    """A word of a speech.

    Attributes:
        text: the word as it was read, numbers and abbreviations written out.
        start: seconds from the beginning.
        end: seconds from the beginning.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Piece:
    """A piece of text that was spoken in one go.

    Attributes:
        text: normalized.
        start: first sample.
        end: one after its last sample.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Speech:
    """What a voice said.

    Attributes:
        samples: (T,) float32 in [-1, 1].
        sample_rate: Hz.
        pieces: the text as it was read, sentence by sentence, with its place in the samples.
        unread: characters that the voice never learned, with counts; they are not in the samples.
        guesses: words whose reading is a guess, with counts; a lexicon settles them.
        left_out: what is no text (markup, emoji), with counts.
        notes: sentences that the network noted something of (cut off, tried again), with what.
    """

    samples: np.ndarray
    sample_rate: int
    pieces: tuple[Piece, ...] = ()
    unread: Counter[str] = field(default_factory=Counter)
    guesses: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def text(self) -> str:
        """The text as it was read: normalized, numbers and abbreviations written out."""
        return " ".join(piece.text for piece in self.pieces)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """Each word with its times, in order; found by forced alignment when they are first asked for.

        The recognizer that comes along finds them. A word that it does not find is left out.

        Raises:
            AmttsError: no word has a letter that the recognizer knows.
        """
        from amtts_core.evaluation.timestamps import word_captions

        recognizer = _recognizer()
        found: list[Word] = []
        for piece in self.pieces:
            offset = piece.start / self.sample_rate
            sound = self.samples[piece.start : piece.end]
            for caption in word_captions(recognizer, sound, self.sample_rate, piece.text):
                found.append(Word(caption.text, caption.start + offset, caption.end + offset))
        return tuple(found)

    def save(
        self,
        path: str | PathLike[str],
        *,
        sample_rate: int | None = None,
        loudness: float | None = None,
        encoding: str = "",
    ) -> Path:
        """Writes an audio file.

        Args:
            path: its ending names the format: .wav, .flac, .ogg, .opus, .mp3, .m4a, .ulaw or .alaw.
            sample_rate: of the file, Hz; None keeps the voice's (8000 for telephone codings).
            loudness: LUFS; None keeps the voice's own.
            encoding: of a .wav file: pcm16, pcm24, float, mulaw or alaw.

        Returns:
            the path.

        Raises:
            AmttsError: an unknown ending, an option that does not fit it, or the file cannot be written; no half file
                is left.
        """
        from amtts_core.audio.save import AudioOptions, write_audio

        target = Path(path)
        options = AudioOptions(sample_rate=sample_rate, loudness=loudness, encoding=encoding)
        write_audio(target, self.samples, self.sample_rate, options=options)
        return target


class SpeechStream:
    """Speech as it is made: iterate over it for (T,) float32 pieces in [-1, 1]. One thread reads one stream.

    Attributes:
        sample_rate: Hz.
        unread: characters that the voice never learned, with counts; they are not in the samples.
        notes: sentences that the network noted something of, with what; complete at the end.
    """

    def __init__(
        self,
        pieces: Iterator[np.ndarray],
        sample_rate: int,
        unread: Counter[str],
        notes: list[tuple[str, str]] | None = None,
    ) -> None:
        self._pieces = pieces
        self.notes = notes if notes is not None else []
        self.sample_rate = sample_rate
        self.unread = unread

    def __iter__(self) -> SpeechStream:
        return self

    def __next__(self) -> np.ndarray:
        return next(self._pieces)

    def close(self) -> None:
        """Stops speaking; what the voice holds for this stream is given back."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


@lru_cache(maxsize=1)
def _recognizer() -> FrameRecognizer:
    from amtts_core.contract.recognizer_registry import frame_recognizer

    return frame_recognizer("")
