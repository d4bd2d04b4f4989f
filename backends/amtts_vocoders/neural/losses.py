"""Losses of the vocoder: a spectral energy distance, and the phase error of the harmonics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FLOOR = 1e-4
EXPONENT, EMPHASIS = 0.3, 5.0
"""Of the compressed magnitudes, about as loudness is, and the weight of their distance beside the logarithms'."""


def magnitudes(waveforms: Tensor, window: int) -> Tensor:
    """(B, T) -> (B, K, L) at a hop of a quarter window; white noise of unit variance has a mean square of 1."""
    shape = torch.hann_window(window, device=waveforms.device)
    spectrum = torch.stft(
        waveforms, window, window // 4, window, shape, center=True, pad_mode="reflect", return_complex=True
    )
    power = torch.view_as_real(spectrum).square().sum(-1) / shape.square().sum()
    return (power + FLOOR**2).sqrt()


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
        waves = [real, first] if second is None else [real, first, second]
        spectra = magnitudes(torch.cat(waves), window)
        logs, powers = spectra.log().chunk(len(waves)), spectra.pow(EXPONENT).chunk(len(waves))

        def apart(one: int, other: int, logs=logs, powers=powers) -> Tensor:  # type: ignore[no-untyped-def]
            return (logs[one] - logs[other]).abs().mean() + EMPHASIS * (
                powers[one] - powers[other]
            ).abs().mean()

        if second is None:
            total = total + apart(0, 1)
        else:
            total = total + (apart(0, 1) + apart(0, 2) - repulsion * apart(1, 2)) / 2
    return total / len(windows)


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
    return ((1 - agree) * weight).sum() / (weight.sum() + 1e-6)


def pitch_loss(logits: Tensor, target: Tensor, voicing: Tensor, voiced: Tensor) -> Tensor:
    """Cross entropy of the classes on voiced frames plus that of voicing, ().

    Args:
        logits: (B, L, bins).
        target: (B, L, bins) soft classes.
        voicing: (B, L) logits.
        voiced: (B, L) 0 or 1.
    """
    entropy = -(target * logits.log_softmax(-1)).sum(-1)
    classes = (entropy * voiced).sum() / voiced.sum().clamp(min=1)
    return classes + functional.binary_cross_entropy_with_logits(voicing, voiced)
