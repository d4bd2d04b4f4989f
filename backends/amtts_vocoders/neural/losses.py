"""Losses of the vocoder: a spectral energy distance, and the phase error of the harmonics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from amtts_vocoders.neural.spectrum import power_of, real_fft

FLOOR = 1e-4
DOUBTFUL = 0.05
"""Confidence below which a measured pitch says nothing."""
EMPHASIS = 2.0
"""Weight of the distance of square roots of magnitudes, which follows loudness, beside that of logarithms."""


def spectra(waveforms: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """(B, T) -> logarithms and square roots of magnitudes, (B, L, K) each, at a hop of a quarter window.

    White noise of unit variance has magnitudes with a mean square of 1.
    """
    shape = torch.hann_window(window, device=waveforms.device)
    shape = shape / shape.square().sum().sqrt()
    padded = functional.pad(waveforms[:, None], (window // 2, window // 2), mode="reflect")[:, 0]
    power = power_of(real_fft(padded.unfold(1, window, window // 4) * shape)) + FLOOR**2
    return power.log() * 0.5, power.sqrt().sqrt()


def spectral_energy_distance(
    real: Tensor, first: Tensor, second: Tensor | None, *, windows: tuple[int, ...], repulsion: float
) -> Tensor:
    """The generalized energy distance of spectra (Gritsenko et al. 2020), (): d(x, y) - repulsion / 2 * d(y, y').

    A distance alone is smallest for the median of all spectra, which sounds dull; minus half of the distance of two
    outputs with other noise it is smallest where outputs are distributed as recordings are.

    Args:
        real: (B, T).
        first: (B, T) output.
        second: (B, T) output for the same input with other noise; None without repulsion.
        windows: of the spectra, samples.
        repulsion: 1 is the proper score.
    """
    total = real.new_zeros(())
    for window in windows:
        with torch.no_grad():
            known = spectra(real, window)
        made = [spectra(wave, window) for wave in (first, second) if wave is not None]
        if second is None:
            total = total + _apart(known, made[0])
        else:
            near = _apart(known, made[0]) + _apart(known, made[1])
            total = total + (near - repulsion * _apart(made[0], made[1])) / 2
    return total / len(windows)


def _apart(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    return functional.l1_loss(one[0], other[0]) + EMPHASIS * functional.l1_loss(one[1], other[1])


def phase_error(real: Tensor, harmonic: Tensor, voiced: Tensor) -> Tensor:
    """1 - cos of the phase difference where the harmonics are strong, ().

    Args:
        real: complex (B, L, K) of the recording.
        harmonic: complex (B, L, K) of the filtered pulse train, whose fundamental has the recording's phase.
        voiced: (B, L) weights.
    """
    strength = harmonic.abs()
    loud = real.abs()
    agree = (harmonic * real.conj()).real / (strength * loud + 1e-6)
    weight = (strength.detach() * loud).sqrt() * voiced[..., None]
    return (((1 - agree) * weight).sum((1, 2)) / (weight.sum((1, 2)) + 1e-6)).mean()


def pitch_loss(logits: Tensor, target: Tensor, voicing: Tensor, confidence: Tensor) -> Tensor:
    """Divergence of the classes (Kullback-Leibler), weighted by confidence, plus that of voicing, ().

    Args:
        logits: (B, L, bins).
        target: (B, L, bins) soft classes.
        voicing: (B, L) logits.
        confidence: (B, L) in [0, 1] of the measured pitch.
    """
    apart = functional.kl_div(logits.log_softmax(-1), target, reduction="none").sum(-1)
    weight = confidence * (confidence > DOUBTFUL)
    classes = (apart * weight).sum(1) / weight.sum(1).clamp(min=1)
    entropy = torch.special.entr(confidence) + torch.special.entr(1 - confidence)
    given = functional.binary_cross_entropy_with_logits(voicing, confidence, reduction="none")
    return classes.mean() + (given - entropy).mean()
