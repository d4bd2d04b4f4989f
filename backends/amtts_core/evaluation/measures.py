"""All figures of one utterance. Models are opened when the first utterance needs them; scores are cached by content."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.contract.recognizer import FrameRecognizer, Recognizer, Transcript
from amtts_core.contract.recognizer_registry import open_recognizer
from amtts_core.errors import AmttsError
from amtts_core.evaluation import prosody, quality
from amtts_core.evaluation.alignment import Alignment, LetterTime, WordTime, align_emissions
from amtts_core.evaluation.cache import ScoreCache, content_key
from amtts_core.evaluation.items import TestItem
from amtts_core.evaluation.pauses import (
    GEMINATION_MARK,
    Length,
    gemination_ratio,
    pause_figures,
    sound_around,
)
from amtts_core.evaluation.settings import EvaluationSettings
from amtts_core.evaluation.signal import rms, signal_figures
from amtts_core.evaluation.speaker_similarity import similarity, speaker_encoder
from amtts_core.evaluation.systems import Spoken, at_rate
from amtts_core.evaluation.text_errors import TextErrors, text_errors

logger = logging.getLogger(__name__)
RATE = 16_000
VERSION = "2"
"""Of the figures; another one makes cached scores anew."""


@dataclass(kw_only=True)
class Row:
    """What is known of one utterance of one system.

    Attributes:
        system, id, category, text, reference: what was to be said by whom.
        audio, start, duration: its file, and the stretch of it where it is not all of it.
        hypothesis: what the recognizer read; None where it was not asked.
        figures: name -> number; a figure that does not apply is absent.
        errors: see `TextErrors`; None where the recognizer was not asked.
        words: word times as [word, start, end, confidence].
    """

    system: str
    id: str
    category: str
    text: str
    reference: str
    audio: str
    start: float = 0.0
    duration: float = 0.0
    hypothesis: str | None = None
    figures: dict[str, float] = field(default_factory=dict)
    errors: TextErrors | None = None
    words: list[tuple[str, float, float, float]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        values = asdict(self)
        if self.errors is not None:
            values["errors"]["confusions"] = [
                [*pair, n] for pair, n in sorted(self.errors.confusions.items())
            ]
        return values


class Measures:
    """Measures utterances.

    Args:
        settings: what is measured.
        cache: file of scores; it is opened last, so that a mistake leaves no folder behind.
    """

    def __init__(self, settings: EvaluationSettings, cache: Path) -> None:
        self._settings = settings
        self._models: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}
        """Group of figures -> why there are none."""
        self.recognizer: Recognizer | None = None
        if {"text", "alignment"} & set(settings.metrics):
            self.recognizer = open_recognizer(settings.recognizer, device=settings.device)
            if "alignment" in settings.metrics and not isinstance(self.recognizer, FrameRecognizer):
                self.skipped["alignment"] = f"recognizer '{self.recognizer.name}' gives no frames"
        self._cache = ScoreCache(cache)

    def close(self) -> None:
        """Closes the cache."""
        self._cache.close()

    def rows(
        self,
        batch: Sequence[Spoken],
        recordings: dict[str, np.ndarray],
        *,
        system: str,
        others: dict[str, np.ndarray] | None = None,
    ) -> list[Row]:
        """One row each.

        Args:
            batch: utterances.
            recordings: item id -> recording (T,) at 16 kHz, of those items that have one.
            system: name.
            others: item id -> another recording (T,) of its speaker at 16 kHz, for similarity alone.
        """
        waves = [at_rate(spoken.waveform, spoken.rate, RATE) for spoken in batch]
        keys = [content_key(VERSION, wave) for wave in waves]
        transcripts = self._transcripts(waves, keys)
        rows = []
        for spoken, wave, key, transcript in zip(batch, waves, keys, transcripts, strict=True):
            row = Row(
                system=system,
                id=spoken.item.id,
                category=spoken.item.category,
                text=spoken.item.text,
                reference=spoken.item.reference,
                audio=str(spoken.path),
                start=spoken.start,
                duration=spoken.duration,
            )
            row.figures |= self._cached("signal", key, partial(signal_figures, spoken.waveform, spoken.rate))
            self._add_errors(row, transcript)
            self._add_alignment(row, spoken.item, wave, key)
            row.figures |= self._cached("quality", key, partial(self._quality, wave))
            recording = recordings.get(spoken.item.id)
            if recording is not None:
                self._against(row, wave, recording, key)
            other = (others or {}).get(spoken.item.id)
            if other is not None and wave.any() and other.any():
                pair = content_key(key, other)
                row.figures |= self._cached("speaker", pair, partial(self._similarity, wave, other))
            if spoken.took is not None and row.figures.get("seconds"):
                row.figures["real_time_factor"] = spoken.took / row.figures["seconds"]
            rows.append(row)
        return rows

    def _cached(self, group: str, key: str, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The figures of a group; none where it is not asked for, cannot be measured here or there is no sound."""
        if group not in self._settings.metrics or group in self.skipped:
            return {}
        name = f"{group}:{key}"
        found = self._cache.get(name)
        if found is None:
            try:
                found = compute()
            except AmttsError as fault:
                if group in self._settings.required:
                    raise
                self.skipped[group] = str(fault)
                logger.warning("%s is not measured: %s", group, fault)
                return {}
            self._cache.put(name, found)
        return dict(found)

    def _model(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._models:
            self._models[name] = make()
        return self._models[name]

    def _transcripts(self, waves: Sequence[np.ndarray], keys: Sequence[str]) -> list[Transcript | None]:
        recognizer = self.recognizer
        if recognizer is None or "text" not in self._settings.metrics:
            return [None] * len(waves)
        names = [f"text:{recognizer.identity}:{key}" for key in keys]
        stored = self._cache.get_all(names)
        wanted = [number for number, value in enumerate(stored) if value is None]
        wanted_waves = [at_rate(waves[n], RATE, recognizer.sample_rate) for n in wanted]
        heard = recognizer.transcribe(wanted_waves) if wanted else []
        for number, transcript in zip(wanted, heard, strict=True):
            stored[number] = asdict(transcript)
            self._cache.put(names[number], stored[number])
        return [Transcript(**value) for value in stored]

    def _add_errors(self, row: Row, transcript: Transcript | None) -> None:
        if transcript is None:
            return
        plain = row.reference.replace(GEMINATION_MARK, "")
        row.hypothesis = transcript.text
        row.errors = text_errors(plain, transcript.text, language=self._settings.language)
        if transcript.confidence is not None:
            row.figures["recognizer_confidence"] = transcript.confidence
        if row.figures.get("speech_seconds"):
            row.figures["letters_per_second"] = row.errors.cer.length / row.figures["speech_seconds"]

    def _add_alignment(self, row: Row, item: TestItem, wave: np.ndarray, key: str) -> None:
        recognizer = self.recognizer
        if not isinstance(recognizer, FrameRecognizer) or "alignment" not in self._settings.metrics:
            return
        if not wave.any():
            return
        words = self._word_times(recognizer, wave, key, item.reference)
        row.words = [(w.word, w.start, w.end, w.confidence) for w in words]
        if words:
            row.figures |= pause_figures(words, wave, RATE) | sound_around(words, wave, RATE)
            row.figures["alignment_confidence"] = float(np.mean([w.confidence for w in words]))
            marked = marked_symbols(item.reference, recognizer)
            if len(marked) == len(words):
                row.figures |= gemination_ratio(words, marked)

    def _word_times(
        self, recognizer: FrameRecognizer, wave: np.ndarray, key: str, reference: str
    ) -> list[WordTime]:
        name = content_key("alignment", recognizer.identity, key, reference)
        stored = self._cache.get(name)
        if stored is None:
            stored = [asdict(word) for word in _aligned(recognizer, wave, reference).words]
            self._cache.put(name, stored)
        return [_word_time(values) for values in stored]

    def _quality(self, wave: np.ndarray) -> dict[str, float]:
        if not wave.any():
            return {}
        score = self._model("distillmos", quality.distillmos)
        found = {"distillmos": score(wave)}
        parts = self._model("dnsmos", quality.dnsmos)(wave)
        return found | {f"dnsmos_{name}": value for name, value in parts.items()}

    def _against(self, row: Row, wave: np.ndarray, recording: np.ndarray, key: str) -> None:
        """Figures that need the recording of the same text."""
        pair = content_key(key, recording)
        if wave.any() and recording.any():
            row.figures |= self._cached("speaker", pair, lambda: self._similarity(wave, recording))
            row.figures |= self._cached("prosody", pair, lambda: self._prosody(wave, recording))
        length, theirs = (
            self._length(row, wave, key),
            self._length(row, recording, content_key(VERSION, recording)),
        )
        if length and theirs:
            row.figures["duration_ratio"] = length / theirs

    def _length(self, row: Row, wave: np.ndarray, key: str) -> float:
        """Seconds from the first to the last word, or without silence at the ends where words have no times."""
        recognizer = self.recognizer
        if isinstance(recognizer, FrameRecognizer) and "alignment" in self._settings.metrics and wave.any():
            words = self._word_times(recognizer, wave, key, row.reference)
            return words[-1].end - words[0].start if words else 0.0
        return signal_figures(wave, RATE)["speech_seconds"]

    def _similarity(self, wave: np.ndarray, recording: np.ndarray) -> dict[str, float]:
        encoder = self._model("speaker", speaker_encoder)
        wave = wave * (rms(recording) / rms(wave))  # the encoder also reads how loud a voice is
        return {"speaker_similarity": similarity(encoder.embed(wave), encoder.embed(recording))}

    def _prosody(self, wave: np.ndarray, recording: np.ndarray) -> dict[str, float]:
        detect = self._model("pitch", prosody.pitch_detector)
        distortion, path = prosody.cepstral_distortion(
            prosody.mel_cepstra(recording), prosody.mel_cepstra(wave)
        )
        first, second = detect(recording), detect(wave)
        found = {"mcd_db": distortion} | prosody.pitch_differences(first, second, path)
        middle, theirs = prosody.median_pitch(second), prosody.median_pitch(first)
        if middle is not None:
            found["f0_median_hz"] = middle
            if theirs is not None:
                found["pitch_shift"] = abs(12 * float(np.log2(middle / theirs)))
        return found


def _aligned(recognizer: FrameRecognizer, wave: np.ndarray, text: str) -> Alignment:
    plain = text.replace(GEMINATION_MARK, "")
    emissions = recognizer.emissions([at_rate(wave, RATE, recognizer.sample_rate)])[0]
    return align_emissions(emissions, plain.split(), recognizer)


def _word_time(values: dict[str, Any]) -> WordTime:
    return WordTime(**values | {"symbols": [LetterTime(**symbol) for symbol in values["symbols"]]})


def marked_symbols(text: str, recognizer: FrameRecognizer) -> list[list[Length]]:
    """For each word with symbols, for each of them, whether it is a consonant and whether it is marked as long.

    The first symbol of a letter is its consonant.
    """
    out = []
    for word in text.split():
        kinds: list[Length] = []
        for place, letter in enumerate(word):
            if letter == GEMINATION_MARK:
                continue
            consonant: Length = "long" if word[place + 1 : place + 2] == GEMINATION_MARK else "short"
            kinds += [
                consonant if number == 0 else "" for number in range(len(recognizer.symbol_ids(letter)))
            ]
        if kinds:
            out.append(kinds)
    return out
