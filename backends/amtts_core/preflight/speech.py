"""Checks of speech."""

from __future__ import annotations

import numpy as np
import torch

from amtts_core.preflight.subject import LATER, CheckSkipped, Finding, Subject, require

AUDIBLE = 1e-3
"""Root mean square of the quietest speech."""


def waveforms(subject: Subject) -> Finding:
    """After training speech is finite, audible and lasts about as long as its text should."""
    subject.needs_speech()
    _needs_training(subject)
    low, high = subject.pace
    with subject.learned() as backend:
        waves = subject.speak(subject.spoken)
    require(len(waves) == len(subject.spoken), f"{len(waves)} waveforms for {len(subject.spoken)} requests")
    for wave, text in zip(waves, subject.spoken, strict=True):
        require(wave.ndim == 1 and wave.dtype == np.float32, f"a waveform is {wave.dtype} {wave.shape}")
        require(bool(np.isfinite(wave).all()), "the audio holds samples that are not finite")
        require(float(np.abs(wave).max()) <= 1, "the audio exceeds [-1, 1]")
        level = float(np.sqrt(np.mean(wave**2)))
        require(level > AUDIBLE, f"the audio is silent (RMS {level:.1e})")
        seconds = len(wave) / backend.sample_rate
        require(
            low * text.seconds <= seconds <= high * text.seconds,
            f"{seconds:.2f} s for a text that lasts about {text.seconds:.2f} s",
        )
    return Finding("speech is audible and as long as its text")


def repeatable(subject: Subject) -> Finding:
    """The same seed gives the same audio, whatever was drawn before."""
    subject.needs_speech()
    _needs_training(subject)
    with subject.learned():
        first = subject.speak(subject.spoken[:1], seed=3)[0]
        torch.manual_seed(99)
        again = subject.speak(subject.spoken[:1], seed=3)[0]
    require(np.array_equal(first, again), "two syntheses with the same seed differ")
    return Finding("the same seed gives the same audio")


def batched(subject: Subject) -> Finding:
    """A text sounds the same alone and in a batch."""
    subject.needs_speech()
    _needs_training(subject)
    worst = 0.0
    with subject.learned():
        together = subject.speak(subject.spoken)
        for text, wave in zip(subject.spoken, together, strict=True):
            alone = subject.speak([text])[0]
            require(
                len(alone) == len(wave),
                f"a text lasts {len(alone)} samples alone and {len(wave)} in a batch",
            )
            worst = max(worst, float(np.abs(alone - wave).max()))
    require(worst < 0.02, f"samples of a text differ by {worst:.3f} alone and in a batch")
    return Finding(f"alone and in a batch samples differ by {worst:.1e}", worst)


def speed(subject: Subject) -> Finding:
    """Speed divides the duration, of each request by its own."""
    subject.needs_speech()
    _needs_training(subject)
    text = subject.spoken[-1:]
    with subject.learned():
        normal, fast, slow = (len(subject.speak(text, speed=factor)[0]) for factor in (1.0, 2.0, 0.5))
    for factor, samples in ((2.0, fast), (0.5, slow)):
        require(
            abs(samples / normal - 1 / factor) <= 0.2 / factor,
            f"at speed {factor:g} speech lasts {samples / normal:.2f} times as long, expected {1 / factor:g}",
        )
    return Finding(f"twice as fast: {fast / normal:.2f} times as long, half as fast: {slow / normal:.2f}")


def _needs_training(subject: Subject) -> None:
    if not (subject.trained or subject.enough_training):
        raise CheckSkipped(LATER)
