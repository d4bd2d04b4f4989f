"""The excitation: a band-limited pulse train at the fundamental frequency, and noise that repeats exactly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

NOISE_SAMPLES = 1 << 16
BAND_EDGES = (1200.0, 3000.0, 5000.0)
"""Edges of the noise's bands, Hz."""


@lru_cache(maxsize=4)
def noise_table(rate: int) -> Tensor:
    """Gaussian noise in bands that add up to unit variance, (bands, 65536); it repeats, and every machine has the same.

    Random numbers are of splitmix64 and Box-Muller; the bands are cut around `BAND_EDGES` with soft edges.
    """
    state = np.arange(1, 2 * NOISE_SAMPLES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((state ^ (state >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53
    first, second = uniform.reshape(2, NOISE_SAMPLES)
    white = np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second)
    spectrum, hertz = np.fft.rfft(white), np.fft.rfftfreq(NOISE_SAMPLES, 1 / rate)
    steps = [1 / (1 + np.exp(-(hertz - edge) / (edge / 16))) for edge in BAND_EDGES]
    shares = np.diff(np.stack([np.ones_like(hertz), *steps, np.zeros_like(hertz)]), axis=0)
    with torch.inference_mode(False):
        return torch.from_numpy(np.fft.irfft(-shares * spectrum, NOISE_SAMPLES).astype(np.float32))


def noise(start: Tensor, length: int, *, rate: int) -> Tensor:
    """Noise in bands (B, bands, length) from the samples `start` (B,) on."""
    index = (start[:, None] + torch.arange(length, device=start.device)) % NOISE_SAMPLES
    return noise_table(rate).to(start.device)[:, index].transpose(0, 1)


def fine_gain(logs: Tensor, hop: int) -> Tensor:
    """Logarithms (B, L, C, P) of a gain at P places of each frame -> the gain at every sample, (B, C, L * hop).

    Linear in between; the gain is a function of its own frame and the next places alone.
    """
    channels, places = logs.shape[2:]
    track = logs.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    return upsampled(track, hop // places).exp().unflatten(0, (-1, channels))


def upsampled(values: Tensor, hop: int) -> Tensor:
    """(B, L) at the frames' centers -> (B, L * hop), linear in between and constant at the ends."""
    place = (torch.arange(hop, device=values.device, dtype=values.dtype) + 0.5) / hop - 0.5
    before = torch.cat([values[:, :1], values[:, :-1]], dim=1)
    after = torch.cat([values[:, 1:], values[:, -1:]], dim=1)
    slope = torch.where(place < 0, (values - before)[..., None], (after - values)[..., None])
    return (values[..., None] + slope * place).flatten(1)


def cycles_within(pitch: Tensor, *, hop: int, rate: int) -> Tensor:
    """Periods passed since the beginning of each frame: (B, L) Hz -> (B, L, hop) float64."""
    return (upsampled(pitch.double(), hop) / rate).unflatten(1, (-1, hop)).cumsum(2)


def cycles_of(pitch: Tensor, *, hop: int, rate: int, start: Tensor | None = None) -> Tensor:
    """Periods passed since the first sample, (B, L * hop) float64.

    Args:
        pitch: (B, L) Hz.
        hop: samples between frames.
        rate: samples per second.
        start: (B,) periods before the first sample.
    """
    within = cycles_within(pitch, hop=hop, rate=rate)
    passed = within[..., -1].cumsum(1) - within[..., -1]
    if start is not None:
        passed = passed + start[:, None]
    return (within + passed[..., None]).flatten(1)


def pulses(cycles: Tensor, pitch: Tensor, *, hop: int, rate: int, highest: float) -> Tensor:
    """Cosines of all harmonics below `highest` Hz with the mean spectral density of unit-variance noise, (B, T).

    The sum of K cosines in closed form (Dirichlet kernel), faded between K and K + 1 so that a moving pitch does not
    switch harmonics on and off.

    Args:
        cycles: (B, T) float64 of `cycles_of`.
        pitch: (B, L) Hz.
        hop: samples between frames.
        rate: samples per second.
        highest: frequency of the highest harmonic, Hz.
    """
    frequency = upsampled(pitch, hop)
    half = (cycles - cycles.round()).to(frequency.dtype) * torch.pi
    count = highest / frequency
    whole = count.floor()
    sine = half.sin()
    small = sine.abs() < 1e-5
    safe = sine.masked_fill(small, 1.0)

    def kernel(harmonics: Tensor) -> Tensor:
        order = 2 * harmonics + 1
        return torch.where(small, order, (order * half).sin() / safe) / 2 - 0.5

    low, high = kernel(whole), kernel(whole + 1)
    total = low + (high - low) * (count - whole)
    return total * (4 * frequency / rate).sqrt()
