"""Speaking with a recognizer that listens: a sentence that it reads otherwise is spoken again with another seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from amtts_core.contract.recognizer import Recognizer
from amtts_core.evaluation.systems import at_rate
from amtts_core.evaluation.text_errors import EARLY_STOP, RUN_ON, TextErrors, text_errors
from amtts_core.synthesis.engine import Speech, Synthesizer
from amtts_core.synthesis.stitch import join

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
    speed: float = 1.0,
    seed: int = 0,
    speaker: str = "",
) -> GuardedSpeech:
    """Speaks a text sentence by sentence; each is checked, and the best of its tries is kept.

    A voice that says a sentence the same with every seed is asked twice only.

    Args:
        synthesizer: speaks.
        text: as a person writes it.
        recognizer: reads the speech.
        settings: when a sentence is spoken again.
        speed, seed, speaker: as for `Synthesizer.speak`.

    Raises:
        AmttsError: as `Synthesizer.speak`.
    """
    settings = settings or GuardSettings()
    stretches, unread = synthesizer.readable_stretches(text)
    waves: list[np.ndarray] = []
    sentences: list[Checked] = []
    for stretch in stretches:
        speech, checked = _best_try(
            synthesizer, stretch.text, recognizer, settings, speed=speed, seed=seed, speaker=speaker
        )
        waves.append(speech.waveform)
        sentences.append(checked)
    joined = join(waves, [stretch.pause for stretch in stretches], synthesizer.sample_rate)
    return GuardedSpeech(Speech(joined, synthesizer.sample_rate, stretches, unread), sentences)


def _best_try(
    synthesizer: Synthesizer,
    text: str,
    recognizer: Recognizer,
    settings: GuardSettings,
    *,
    speed: float,
    seed: int,
    speaker: str,
) -> tuple[Speech, Checked]:
    best: tuple[float, Speech, TextErrors, str, int] | None = None
    before: np.ndarray | None = None
    count = 0
    for number in range(max(1, settings.tries)):
        own = seed + number * ANOTHER_SEED
        speech = synthesizer.speak(text, speed=speed, seed=own, speaker=speaker)
        count += 1
        if before is not None and np.array_equal(before, speech.waveform):
            break  # it does not depend on the seed
        before = speech.waveform
        heard = recognizer.transcribe([at_rate(speech.waveform, speech.sample_rate, recognizer.sample_rate)])[
            0
        ].text
        errors = text_errors(text, heard, language=settings.language)
        if best is None or errors.cer.rate < best[0]:
            best = (errors.cer.rate, speech, errors, heard, own)
        if not problem_of(errors, settings):
            break
    assert best is not None
    rate, speech, errors, heard, own = best
    return speech, Checked(
        text=text, hypothesis=heard, cer=rate, tries=count, seed=own, problem=problem_of(errors, settings)
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
