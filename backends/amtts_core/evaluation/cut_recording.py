"""A long recording with its full transcript, cut into utterances at pauses between sentences."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from amtts_core.audio.io import read_audio
from amtts_core.contract.recognizer import FrameRecognizer
from amtts_core.errors import AmttsError
from amtts_core.evaluation.alignment import Alignment, WordTime, align_emissions
from amtts_core.evaluation.pauses import CLAUSE_MARKS
from amtts_core.evaluation.text_errors import text_errors
from amtts_core.text.sentences import split_sentences
from amtts_core.units import Seconds

logger = logging.getLogger(__name__)
MARGIN = 0.2
"""Seconds of a pause that stay at each end of an utterance."""
EDGE = 0.05
"""Seconds around a sentence that are recognized with it."""
CLAUSE = 0.3
"""Seconds that a clause mark counts beside the pause itself where a long sentence is cut."""


@dataclass(frozen=True, kw_only=True)
class CutSettings:
    """How a recording is cut.

    Attributes:
        longest: seconds of an utterance; neighboring sentences are joined up to it.
        max_cer: share of letters that may be recognized otherwise before an utterance is rejected.
        join_gap: seconds; sentences with a longer pause between them are not joined.
        language: of the text.
    """

    longest: Seconds = 15.0
    max_cer: float = 0.4
    join_gap: Seconds = 1.0
    language: str = "am"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One utterance.

    Attributes:
        text: as in the transcript.
        start, end: seconds.
        words: with times.
        cer: share of its letters that were recognized otherwise.
        problem: why it is no use; empty for a good one.
    """

    text: str
    start: Seconds
    end: Seconds
    words: list[WordTime] = field(default_factory=list)
    cer: float = 0.0
    problem: str = ""


def cut_recording(
    audio: Path,
    text: str,
    recognizer: FrameRecognizer,
    *,
    normalize: Callable[[str], str],
    settings: CutSettings | None = None,
) -> list[Cut]:
    """Utterances in order; every sentence of the text is in exactly one of them, good or not.

    Args:
        audio: the recording; an hour takes about 1.1 GB of memory.
        text: all that is said in it, as people write it.
        recognizer: one that gives probabilities of every frame.
        normalize: text as it is read aloud.
        settings: how to cut.

    Raises:
        AmttsError: the recording cannot be read, or the text has no sentence that the recognizer can align.
    """
    settings = settings or CutSettings()
    written = [s for line in text.splitlines() for s in split_sentences(line, language=settings.language)]
    sentences = [(sentence, normalize(sentence).split()) for sentence in written]
    words = [word for _, spoken in sentences for word in spoken]
    if not words:
        raise AmttsError("the transcript holds no sentence", remedy="Give a UTF-8 text file of what is said")
    waveform = read_audio(audio, sample_rate=recognizer.sample_rate)
    emissions = recognizer.emissions([waveform])[0]
    alignment = align_emissions(emissions, words, recognizer)
    placed = [_read(s, recognizer, waveform, settings) for s in _by_sentence(sentences, alignment, settings)]
    seconds = len(waveform) / recognizer.sample_rate
    return [_cut_of(group, placed, seconds, settings) for group in _groups(placed, settings)]


@dataclass(frozen=True)
class _Sentence:
    """A sentence, or a piece of a long one, with its words' times and the errors of what was recognized there."""

    text: str
    words: list[WordTime]
    complete: bool
    letters: int = 0
    errors: int = 0
    problem: str = ""

    @property
    def good(self) -> bool:
        return self.complete and bool(self.words) and not self.problem


def _by_sentence(
    sentences: Sequence[tuple[str, list[str]]], alignment: Alignment, settings: CutSettings
) -> list[_Sentence]:
    found = {word.index: word for word in alignment.words}
    missing = set(alignment.missing)
    out, first = [], 0
    for text, spoken in sentences:
        places = range(first, first + len(spoken))
        sentence = _Sentence(text, [found[p] for p in places if p in found], not missing.intersection(places))
        out += _short_enough(sentence, settings.longest)
        first += len(spoken)
    return out


def _short_enough(sentence: _Sentence, longest: Seconds) -> list[_Sentence]:
    """The sentence, cut at its longest pauses while it is too long; cut pieces have the normalized text."""
    words = sentence.words
    if not sentence.complete or len(words) < 2 or words[-1].end - words[0].start <= longest:
        return [sentence]
    gaps = [
        (b.start - a.end) + CLAUSE * (a.word[-1] in CLAUSE_MARKS)
        for a, b in zip(words, words[1:], strict=False)
    ]
    place = 1 + max(range(len(gaps)), key=gaps.__getitem__)
    halves = (words[:place], words[place:])
    pieces = (_Sentence(" ".join(word.word for word in half), half, True) for half in halves)
    return [piece for half in pieces for piece in _short_enough(half, longest)]


def _groups(sentences: Sequence[_Sentence], settings: CutSettings) -> list[list[int]]:
    """Indices of sentences that make one utterance."""
    groups: list[list[int]] = []
    for number, sentence in enumerate(sentences):
        before = sentences[groups[-1][-1]] if groups else None
        if (
            before is not None
            and before.good
            and sentence.good
            and sentence.words[-1].end - sentences[groups[-1][0]].words[0].start <= settings.longest
            and sentence.words[0].start - before.words[-1].end <= settings.join_gap
        ):
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _cut_of(group: list[int], sentences: Sequence[_Sentence], seconds: Seconds, settings: CutSettings) -> Cut:
    chosen = [sentences[number] for number in group]
    text = " ".join(sentence.text for sentence in chosen)
    words = [word for sentence in chosen for word in sentence.words]
    if not words or not all(sentence.complete for sentence in chosen):
        at = words[0].start if words else 0.0
        return Cut(
            text=text,
            start=at,
            end=at,
            words=words,
            problem="not all of its words were found in the recording",
        )
    before = next((s.words[-1].end for s in reversed(sentences[: group[0]]) if s.words), 0.0)
    after = next((s.words[0].start for s in sentences[group[-1] + 1 :] if s.words), seconds)
    start = max(words[0].start - MARGIN, (before + words[0].start) / 2 if before else 0.0, 0.0)
    end = min(words[-1].end + MARGIN, (after + words[-1].end) / 2 if after < seconds else seconds)
    cer = sum(s.errors for s in chosen) / max(1, sum(s.letters for s in chosen))
    problem = next((s.problem for s in chosen if s.problem), "")
    if not problem and words[-1].end - words[0].start > settings.longest:
        long = words[-1].end - words[0].start
        problem = f"it is {long:.1f} s long without a pause, at most {settings.longest:g} s are kept"
    return Cut(text=text, start=start, end=max(end, words[-1].end), words=words, cer=cer, problem=problem)


def _read(
    sentence: _Sentence, recognizer: FrameRecognizer, waveform: np.ndarray, settings: CutSettings
) -> _Sentence:
    """The sentence with what was recognized where its words are, and a problem where that is something else."""
    if not sentence.complete or not sentence.words:
        return sentence
    rate, words = recognizer.sample_rate, sentence.words
    first, last = max(0.0, words[0].start - EDGE), words[-1].end + EDGE
    samples = waveform[round(first * rate) : round(last * rate)]
    spoken = " ".join(word.word for word in words)
    cer = text_errors(spoken, recognizer.transcribe([samples])[0].text, language=settings.language).cer
    problem = ""
    if cer.rate > settings.max_cer:
        problem = f"{cer.rate:.0%} of its letters were recognized otherwise, at most {settings.max_cer:.0%} are allowed"
    return replace(sentence, letters=cer.length, errors=cer.errors, problem=problem)
