"""Speaking with a recognizer that listens: a sentence that it reads otherwise is spoken again with another seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from amtts_core.contract.backend import Backend
from amtts_core.contract.recognizer import Recognizer
from amtts_core.contract.types import SynthesisRequest
from amtts_core.evaluation.systems import at_rate
from amtts_core.evaluation.text_errors import EARLY_STOP, RUN_ON, TextErrors, text_errors
from amtts_core.synthesis.engine import Speech, Synthesizer
from amtts_core.synthesis.stitch import Stretch

ANOTHER_SEED = 7919
"""Between the seeds of two tries of a sentence."""


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """When a sentence is spoken again.

    Attributes:
        max_cer: share of letters that may be recognized otherwise; above the recognizer's own floor.
        tries: times that a sentence is spoken at most.
        language: of the text.
    """

    max_cer: float = 0.15
    tries: int = 4
    language: str = "am"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One sentence that was spoken.

    Attributes:
        text: normalized.
        hypothesis: what the recognizer read in the try that was kept.
        cer: of that.
        tries: times it was spoken.
        seed: of the try that was kept.
        problem: why it is doubtful; empty where it is not.
    """

    text: str
    hypothesis: str
    cer: float
    tries: int
    seed: int
    problem: str

    @property
    def doubtful(self) -> bool:
        """Whether even the best try was read otherwise."""
        return bool(self.problem)


@dataclass(frozen=True)
class GuardedSpeech:
    """What was spoken, and what the recognizer said of each sentence."""

    speech: Speech
    sentences: list[Checked] = field(default_factory=list)

    @property
    def doubtful(self) -> list[Checked]:
        """Sentences to listen to."""
        return [sentence for sentence in self.sentences if sentence.doubtful]


def speak_guarded(
    synthesizer: Synthesizer,
    text: str,
    recognizer: Recognizer,
    *,
    settings: GuardSettings | None = None,
    **how: Any,
) -> GuardedSpeech:
    """Speaks a text sentence by sentence; each is checked, and the best of its tries is kept.

    A voice that says a sentence the same with every seed is asked twice only. The recognizer hears no pauses.

    Args:
        synthesizer: speaks.
        text: as a person writes it.
        recognizer: reads the speech.
        settings: when a sentence is spoken again.
        how: speed, seed, speaker, tone and pauses, as for `Synthesizer.speak`.

    Raises:
        AmttsError: as `Synthesizer.speak`.
    """
    backend, sentences = synthesizer.backend, []

    def speak(stretches: Sequence[Stretch], requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        waves = []
        for stretch, request in zip(stretches, requests, strict=True):
            wave, checked = _best_try(backend, stretch.text, request, recognizer, settings or GuardSettings())
            waves.append(wave)
            sentences.append(checked)
        return waves

    making = synthesizer.making(text, by=speak, **how)
    waveform = np.concatenate(list(making))
    return GuardedSpeech(making.speech(waveform), sentences)


def _best_try(
    backend: Backend, text: str, request: SynthesisRequest, recognizer: Recognizer, settings: GuardSettings
) -> tuple[np.ndarray, Checked]:
    """The waveform (T,) of the best try; its notes are put into those of the request."""
    best: tuple[float, np.ndarray, TextErrors, str, SynthesisRequest] | None = None
    before: np.ndarray | None = None
    count = 0
    for number in range(max(1, settings.tries)):
        own = replace(request, seed=request.seed + number * ANOTHER_SEED, notes=[])
        wave = backend.synthesize([own])[0]
        count += 1
        if before is not None and np.array_equal(before, wave):
            break  # it does not depend on the seed
        before = wave
        heard = recognizer.transcribe([at_rate(wave, backend.sample_rate, recognizer.sample_rate)])[0].text
        errors = text_errors(text, heard, language=settings.language)
        if best is None or errors.cer.rate < best[0]:
            best = (errors.cer.rate, wave, errors, heard, own)
        if not problem_of(errors, settings):
            break
    assert best is not None
    rate, wave, errors, heard, own = best
    if request.notes is not None and own.notes:
        request.notes.extend(own.notes)
    return wave, Checked(
        text=text,
        hypothesis=heard,
        cer=rate,
        tries=count,
        seed=own.seed,
        problem=problem_of(errors, settings),
    )


def problem_of(errors: TextErrors, settings: GuardSettings) -> str:
    """Why speech is doubtful, or an empty string."""
    if errors.run_on >= RUN_ON:
        return f"goes on after the text: {errors.run_on} letters more"
    if errors.early_stop >= EARLY_STOP:
        return f"ends early: the last {errors.early_stop} letters are missing"
    if errors.cer.rate > settings.max_cer:
        return f"{errors.cer.rate:.0%} of the letters were recognized otherwise"
    return ""
