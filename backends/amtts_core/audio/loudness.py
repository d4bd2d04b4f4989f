"""Loudness by ITU-R BS.1770 and one gain to a target, held under a peak ceiling.

The standard's weighting filter is recursive. It is applied to rows of 64 samples at once, as matrix products over a row
and the state that the rows before it left the filter in: the same as sample by sample, in a fraction of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, floor, pi, sin, sqrt

import numpy as np

from amtts_core.units import Decibels, Hertz, Seconds

BLOCK: Seconds = 0.4
"""The standard's gating block; a shorter clip has no loudness by the standard."""
_STEPS = 4  # in a block; blocks start a step apart
_ROW = 64  # samples that are filtered by one matrix product
_GROUP = 32  # rows; products of more would be shared out among threads, which costs more than it saves
_MEMORY: Seconds = 0.03  # of the filter; what is older is 60 dB down
_GAIN_STEP: Decibels = 0.01
"""Gains are multiples of it: matrix products differ in their last bit from processor to processor, corpora must not."""
_ABSOLUTE_GATE: Decibels = -70.0
_RELATIVE_GATE: Decibels = -10.0
_OFFSET: Decibels = -0.691  # makes a full-scale sine of 997 Hz -3.01 LUFS


@dataclass(frozen=True)
class Levelled:
    """Samples brought to a loudness.

    Attributes:
        samples: (T,) float32.
        before: loudness of the input, LUFS.
        gain: that was applied, dB.
    """

    samples: np.ndarray
    before: Decibels
    gain: Decibels


def _shelf(rate: Hertz) -> tuple[list[float], list[float]]:
    """The standard's first stage, the head: 4 dB more from 1500 Hz up; numerator and denominator in z."""
    amplitude, angle = 10 ** (4 / 40), 2 * pi * 1500 / rate
    c, root = cos(angle), 2 * sqrt(amplitude) * sin(angle) / sqrt(2)
    more, less = amplitude + 1, amplitude - 1
    above = [
        amplitude * (more + less * c + root),
        -2 * amplitude * (less + more * c),
        amplitude * (more + less * c - root),
    ]
    return above, [more - less * c + root, 2 * (less - more * c), more - less * c - root]


def _high_pass(rate: Hertz) -> tuple[list[float], list[float]]:
    """The standard's second stage: a high-pass at 38 Hz with a quality of 0.5."""
    angle = 2 * pi * 38 / rate
    alpha, c = sin(angle), cos(angle)
    return [(1 + c) / 2, -(1 + c), (1 + c) / 2], [1 + alpha, -2 * c, 1 - alpha]


@lru_cache(maxsize=16)
def _weighting(rate: Hertz) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both stages as one recursion over rows of `_ROW` samples, worked out in double precision.

    Returns:
        outputs: (_ROW + 4, _ROW) float32; a row of samples and the filter's state before it give the row of outputs.
        inputs: (_ROW, 4) float32; a row of samples gives what it adds to the state after it.
        decay: (4, 4); what a state has become a row later.
    """
    (a1, b1, c1, d1), (a2, b2, c2, d2) = (_state_space(*stage(rate)) for stage in (_shelf, _high_pass))
    matrix = np.block([[a1, np.zeros((2, 2))], [np.outer(b2, c1), a2]])
    entry, reading, direct = np.concatenate([b1, b2 * d1]), np.concatenate([d2 * c1, c2]), d1 * d2
    powers = [np.eye(4)]
    for _ in range(_ROW):
        powers.append(matrix @ powers[-1])
    response = np.array([direct, *(reading @ power @ entry for power in powers[: _ROW - 1])])
    outputs = np.zeros((_ROW + 4, _ROW))
    for at in range(_ROW):
        outputs[at, at:] = response[: _ROW - at]
        outputs[_ROW:, at] = reading @ powers[at]
    inputs = np.array([power @ entry for power in powers[_ROW - 1 :: -1]])
    return outputs.astype(np.float32), inputs.astype(np.float32), powers[_ROW].T


def _state_space(above: list[float], below: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A second-order stage as state' = A state + b x, y = c state + d x; gives A, b, c and d."""
    (b0, b1, b2), (a1, a2) = np.array(above) / below[0], np.array(below[1:]) / below[0]
    matrix = np.array([[-a1, 1.0], [-a2, 0.0]])
    return matrix, np.array([b1 - a1 * b0, b2 - a2 * b0]), np.array([1.0, 0.0]), float(b0)


def _block_powers(samples: np.ndarray, rate: Hertz) -> np.ndarray:
    """Mean square of each block after the weighting filter, (blocks,)."""
    outputs, inputs, decay = _weighting(rate)
    step = round(BLOCK / _STEPS * rate)
    blocks = round((len(samples) / rate - BLOCK) / (BLOCK / _STEPS)) + 1
    needed = (blocks + _STEPS - 1) * step
    groups = -(-needed // (_ROW * _GROUP))
    known = np.zeros((groups * _GROUP, _ROW + 4), np.float32)
    fits = samples[:needed]
    whole = len(fits) // _ROW
    known[:whole, :_ROW] = fits[: whole * _ROW].reshape(whole, _ROW)
    known[whole : whole + 1, : len(fits) % _ROW] = fits[whole * _ROW :]
    grouped = known.reshape(groups, _GROUP, _ROW + 4)
    states = np.zeros((len(known), 4))
    states[1:] = np.matmul(grouped[..., :_ROW], inputs).reshape(-1, 4)[:-1]
    reach = 1
    while reach < min(len(states), _MEMORY * rate / _ROW):  # twice as many rows back at a time
        states[reach:] += states[:-reach].copy() @ decay
        decay, reach = decay @ decay, 2 * reach
    known[:, _ROW:] = states
    weighted = np.matmul(grouped, outputs).reshape(-1)[:needed].reshape(-1, step)
    energies = np.einsum("ij,ij->i", weighted, weighted).astype(np.float64)
    return np.convolve(energies, np.ones(_STEPS), mode="valid") / (BLOCK * rate)


def loudness(samples: np.ndarray, rate: Hertz) -> Decibels:
    """Integrated loudness in LUFS; the plain RMS level where the clip is shorter than a block or gated away."""
    if len(samples) > BLOCK * rate:
        powers = _block_powers(samples, rate)
        loud = powers[powers >= 10 ** ((_ABSOLUTE_GATE - _OFFSET) / 10)]
        if len(loud):
            loud = loud[loud > loud.mean() * 10 ** (_RELATIVE_GATE / 10)]
            return _OFFSET + 10 * float(np.log10(loud.mean()))
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return _OFFSET + 10 * float(np.log10(max(power, 1e-12)))


def to_loudness(samples: np.ndarray, rate: Hertz, *, target: Decibels, ceiling: Decibels) -> Levelled:
    """Applies one gain so that the clip has `target` LUFS, or less where its peak would pass `ceiling` dBFS."""
    before = loudness(samples, rate)
    peak = float(max(samples.max(), -samples.min())) if len(samples) else 0.0
    gain = floor((target - before) / _GAIN_STEP) * _GAIN_STEP
    if peak > 0:
        gain = min(gain, ceiling - 20 * float(np.log10(peak)))
    return Levelled(samples * np.float32(10 ** (gain / 20)), before, gain)
