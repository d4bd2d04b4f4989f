"""Training judged by what its voice says: a few texts are spoken at every validation and read by a recognizer.

A loss can fall while speech gets worse. The error rate is a metric like any other: the best checkpoint can be chosen
and training stopped by it (`training.best_by: val/speech/cer`). A run that began from existing weights is also compared
with what those said before the first step.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from amtts_core.audio.io import read_audio
from amtts_core.config.sections import SpeechCheckConfig
from amtts_core.contract.recognizer import Recognizer
from amtts_core.contract.recognizer_registry import open_recognizer
from amtts_core.corpus.manifest import read_manifest
from amtts_core.errors import AmttsError
from amtts_core.evaluation import packages
from amtts_core.evaluation.signal import rms
from amtts_core.evaluation.speaker_similarity import similarity, speaker_encoder
from amtts_core.evaluation.systems import at_rate
from amtts_core.evaluation.text_errors import text_errors
from amtts_core.storage.atomic import replace_text
from amtts_core.synthesis.engine import Synthesizer
from amtts_core.text.normalizer import Normalizer
from amtts_core.training.callbacks.base import Callback, TrainingOutcome
from amtts_core.training.run_state import RunState

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.contract.backend import Backend

logger = logging.getLogger(__name__)
PREFIX = "val/speech/"
REPORT = "speech_check.json"
WORSE_CER = 0.02
"""Rise of the error rate over its best that is worth a warning."""
WORSE_SIMILARITY = 0.05
RATE = 16_000


@dataclass(frozen=True)
class CheckText:
    """One text to speak: as a person writes it, who says it, and a recording (T,) at 16 kHz where there is one."""

    text: str
    speaker: str = ""
    recording: np.ndarray | None = None


def check_texts(config: SpeechCheckConfig, manifest: Path) -> list[CheckText]:
    """The configured texts, or some of a manifest, evenly spread, with their recordings."""
    if config.texts:
        return [CheckText(text) for text in config.texts]
    utterances = list(read_manifest(manifest, bad_lines=[])) if manifest.is_file() else []
    count = min(config.count, len(utterances))
    found = []
    for utterance in (utterances[number * len(utterances) // count] for number in range(count)):
        recording = None
        if packages.installed("resemblyzer"):
            path = utterance.audio_path(manifest)
            recording = read_audio(
                path, sample_rate=RATE, offset=utterance.offset, duration=utterance.duration
            )
        found.append(CheckText(utterance.text, utterance.speaker, recording))
    return found


def measure_speech(
    backend: Backend, normalizer: Normalizer, texts: Sequence[CheckText], recognizer: Recognizer
) -> dict[str, float]:
    """`cer`, `words_wrong` and, with recordings, `similarity` of what the backend says; NaN where it said nothing.

    Args:
        backend: in evaluation mode.
        normalizer: of the corpus.
        texts: what it says.
        recognizer: reads it.
    """
    synthesizer = Synthesizer(backend, normalizer)
    errors = letters = wrong = words = 0
    similarities = []
    for item in texts:
        speaker = item.speaker if item.speaker in backend.speakers.names else ""
        try:
            speech = synthesizer.speak(item.text, speaker=speaker)
        except AmttsError as fault:
            logger.warning("speech check: %r cannot be spoken: %s", item.text[:40], fault)
            continue
        wave = at_rate(speech.waveform, speech.sample_rate, recognizer.sample_rate)
        reference = " ".join(stretch.text for stretch in speech.stretches)
        language = normalizer.settings.language
        found = text_errors(reference, recognizer.transcribe([wave])[0].text, language=language)
        errors, letters = errors + found.cer.errors, letters + found.cer.length
        wrong, words = wrong + found.words_wrong, words + found.words
        if item.recording is not None and wave.any():
            similarities.append(
                _similarity(at_rate(speech.waveform, speech.sample_rate, RATE), item.recording)
            )
    out = {
        "cer": errors / letters if letters else math.nan,
        "words_wrong": wrong / words if words else math.nan,
    }
    if any(item.recording is not None for item in texts):
        out["similarity"] = float(np.mean(similarities)) if similarities else math.nan
    return out


def _similarity(wave: np.ndarray, recording: np.ndarray) -> float:
    encoder = speaker_encoder()
    return similarity(encoder.embed(wave * (rms(recording) / rms(wave))), encoder.embed(recording))


class SpeechCheck(Callback):
    """The callback.

    Args:
        normalizer: of the corpus.
        texts: what is spoken.
        recognizer: reads it.

    Attributes:
        history: step -> figures, in order; step 0 is there where a run began from existing weights.
    """

    def __init__(self, normalizer: Normalizer, texts: Sequence[CheckText], recognizer: Recognizer) -> None:
        self.normalizer, self.texts, self.recognizer = normalizer, texts, recognizer
        compared = any(item.recording is not None for item in texts)
        self.metric_names = list(SpeechCheckConfig.METRICS if compared else SpeechCheckConfig.METRICS[:-1])
        self.history: dict[int, dict[str, float]] = {}
        self._state: RunState | None = None
        self._losses: list[float] = []
        self._warned = False

    def started(self, state: RunState) -> None:
        """Measures existing weights before the first step; a resumed run goes on with what stands in its file."""
        self._state = state
        if state.step:
            self.history = _stored(state.folder / REPORT)
        elif state.info.started_from:
            self._measure(0)
            self._write()
            logger.info("speech check of the weights it begins with: %s", _shown(self.history[0]))

    def validated(self, step: int, metrics: dict[str, float], pictures: dict[str, Tensor]) -> None:
        """Adds the figures to a validation, and warns where the loss falls while errors rise."""
        del pictures
        found = self._measure(step)
        metrics.update({PREFIX + name: value for name, value in found.items()})
        self._losses.append(metrics.get("val/total", math.nan))
        self._warn_of_rise(step)
        self._write()

    def finished(self, outcome: TrainingOutcome) -> None:
        """Tells whether tuning made the voice worse than the weights it began with."""
        if 0 not in self.history or len(self.history) < 2:
            return
        best = outcome.best_step if outcome.best_step in self.history else max(self.history)
        before, after = self.history[0], self.history[best or max(self.history)]
        logger.info("speech check: %s before, %s at step %s", _shown(before), _shown(after), best)
        for change in worse(before, after):
            logger.warning("tuning made the voice worse than the weights it began with: %s", change)

    def _measure(self, step: int) -> dict[str, float]:
        assert self._state is not None
        with torch.random.fork_rng(), self._state.inference_weights() as backend:
            self.history[step] = measure_speech(backend, self.normalizer, self.texts, self.recognizer)
        return self.history[step]

    def _warn_of_rise(self, step: int) -> None:
        """Once, when the loss is the best so far and the error rate is clearly over its best, twice in a row."""
        rates = [figures["cer"] for number, figures in self.history.items() if number]
        if self._warned or len(rates) < 3 or len(self._losses) < 3:
            return
        risen = all(rate > min(rates) + WORSE_CER for rate in rates[-2:])
        if risen and self._losses[-1] == min(self._losses):
            self._warned = True
            assert self._state is not None
            by_speech = self._state.config.best_by.startswith(PREFIX)
            logger.warning(
                "step %d: the loss falls while errors rise (%.1f %% of the letters, best %.1f %%): the voice may "
                "overfit its corpus%s",
                step,
                100 * rates[-1],
                100 * min(rates),
                ""
                if by_speech
                else f". Choose the checkpoint by what it says: --set training.best_by={PREFIX}cer",
            )

    def _write(self) -> None:
        assert self._state is not None
        rows: dict[str, Any] = {
            str(step): {name: None if math.isnan(value) else value for name, value in figures.items()}
            for step, figures in self.history.items()
        }
        values = {
            "recognizer": self.recognizer.identity,
            "texts": [t.text for t in self.texts],
            "steps": rows,
        }
        self._state.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._state.folder / REPORT, json.dumps(values, ensure_ascii=False, indent=1) + "\n")


def worse(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """In what a voice is worse than before, a sentence each; a figure that there is no more counts as worse."""
    out = []
    if math.isnan(after["cer"]) and not math.isnan(before["cer"]):
        out.append(f"it says nothing, before {100 * before['cer']:.1f} % of the letters were wrong")
    elif after["cer"] > before["cer"] + WORSE_CER:
        out.append(f"{100 * after['cer']:.1f} % of the letters are wrong, before {100 * before['cer']:.1f} %")
    was, now = (figures.get("similarity", math.nan) for figures in (before, after))
    if "similarity" in after and math.isnan(now) and not math.isnan(was):
        out.append(f"no speech to compare with its speaker, before a similarity of {was:.3f}")
    elif now < was - WORSE_SIMILARITY:
        out.append(f"speaker similarity is {now:.3f}, before {was:.3f}")
    return out


def _shown(figures: dict[str, float]) -> str:
    similar = f", similarity {figures['similarity']:.3f}" if "similarity" in figures else ""
    return f"{100 * figures['cer']:.1f} % of the letters wrong{similar}"


def _stored(path: Path) -> dict[int, dict[str, float]]:
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        return {
            int(step): {name: math.nan if value is None else float(value) for name, value in figures.items()}
            for step, figures in steps.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        logger.warning("%s cannot be read: this run is not compared with its start", path)
        return {}


def open_speech_check(config: SpeechCheckConfig, normalizer: Normalizer, manifest: Path) -> SpeechCheck:
    """The callback of a configuration that names a recognizer.

    Args:
        config: what is spoken and who reads it.
        normalizer: of the corpus.
        manifest: of the validation set, where the configuration names no texts.

    Raises:
        AmttsError: the recognizer cannot be used, or there is no text to speak.
    """
    texts = check_texts(config, manifest)
    if not texts:
        raise AmttsError(
            "training.speech_check has no text to speak: the corpus has no validation set",
            remedy="Give some: --set 'training.speech_check.texts=[ሰላም ለዓለም።]'",
        )
    return SpeechCheck(normalizer, texts, open_recognizer(config.recognizer))
