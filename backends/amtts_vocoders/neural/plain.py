"""The network in real arithmetic, of operations that ONNX has: Fourier transforms are products with matrices.

Computes what `NeuralVocoder.vocode` does, for mels of any length, with the noise of seed 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.audio.mel import LOG_FLOOR
from amtts_vocoders.neural.network import STEP, STEP_SIZE, VocoderNetwork
from amtts_vocoders.neural.source import NOISE_SAMPLES, cycles_of, fine_gain, noise_table, pulses


class PlainSpectrum(nn.Module):
    """`FrameSpectrum` of the bins that the mel covers. L frames, K bins, T = L * hop samples."""

    analysis: Tensor
    synthesis: Tensor
    squares: Tensor
    filters: Tensor

    def __init__(self, network: VocoderNetwork) -> None:
        super().__init__()
        spectrum = network.spectrum
        self.size, self.hop, self.parts = spectrum.size, spectrum.hop, spectrum.parts
        self.margin = spectrum.margin
        self.bins = int(spectrum.audible.nonzero().max()) + 1
        angle = torch.arange(self.size, dtype=torch.float64)[:, None] * torch.arange(self.bins)
        angle = angle * (2 * torch.pi / self.size)
        window = spectrum.window.double()[:, None]
        there = torch.cat([angle.cos(), -angle.sin()], dim=1) * window
        twice = torch.full((self.bins,), 2.0, dtype=torch.float64)
        twice[0] = 1.0
        if self.bins == self.size // 2 + 1:
            twice[-1] = 1.0
        back = torch.cat([angle.cos() * twice, -angle.sin() * twice], dim=1).T * window.T / self.size
        self.register_buffer("analysis", there.float())
        self.register_buffer("synthesis", back.float())
        self.register_buffer("squares", window[:, 0].square().float())
        self.register_buffer("filters", spectrum.filters[:, : self.bins].T.contiguous())

    def forward(self, waveform: Tensor, frames: Tensor | int) -> tuple[Tensor, Tensor]:
        """(1, T) -> real and imaginary part, (1, L, K) each."""
        padded = functional.pad(waveform[:, None], (self.margin, self.margin), mode="reflect")[:, 0]
        blocks = padded.reshape(1, -1, self.hop)
        rows = torch.cat([blocks[:, part : part + frames] for part in range(self.parts)], dim=2)
        both = rows @ self.analysis
        return both[..., : self.bins], both[..., self.bins :]

    def inverse(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """(1, L, K) each -> (1, T)."""
        rows = torch.cat([real, imaginary], dim=2) @ self.synthesis
        weight = self._overlapped(torch.ones_like(rows[..., :1]) * self.squares).clamp(min=1e-3)
        return (self._overlapped(rows) / weight)[:, self.margin : -self.margin]

    def _overlapped(self, rows: Tensor) -> Tensor:
        total = None
        for part in range(self.parts):
            block = rows[..., part * self.hop : (part + 1) * self.hop]
            moved = functional.pad(block, (0, 0, part, self.parts - 1 - part))
            total = moved if total is None else total + moved
        assert total is not None
        return total.flatten(1)

    def log_mel(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """(1, L, K) each -> (1, L, M)."""
        loud = (real * real + imaginary * imaginary + 1e-9).sqrt()
        return (loud @ self.filters).clamp(min=1e-5).log()


class PlainVocoder(nn.Module):
    """Natural-log mel (1, M, L) -> waveform (1, T)."""

    noise: Tensor
    spread: Tensor
    audible: Tensor

    def __init__(self, network: VocoderNetwork) -> None:
        super().__init__()
        self.network = network
        self.spectrum = PlainSpectrum(network)
        self.register_buffer("noise", noise_table(network.config.mel.sample_rate).clone())
        self.register_buffer("audible", network.spectrum.audible[: self.spectrum.bins].clone())
        self.register_buffer("spread", network.spectrum.spread[: self.spectrum.bins].T.contiguous())

    def forward(self, mel: Tensor) -> Tensor:
        """(1, M, L) -> (1, T)."""
        network, config = self.network, self.network.config
        hop, rate = config.mel.hop, config.mel.sample_rate
        log_mel = mel.transpose(1, 2)
        frames = log_mel.shape[1]
        hertz, voicing = self._read_pitch(log_mel)
        cycles = cycles_of(hertz, hop=hop, rate=rate)
        train = pulses(cycles, hertz, hop=hop, rate=rate, highest=network.highest)
        level = self.spectrum.log_mel(*self.spectrum(train, frames)) - network.level
        head = network.head(network.hidden(log_mel, level.clamp(min=-6), hertz, voicing))
        loud, soft, angle, places = head.split(network.sizes, dim=-1)
        base = log_mel - network.level
        gain, hiss, phase = ((band @ self.spread).clamp(-16, 8) for band in (base + loud, base + soft, angle))
        logs = places.clamp(-4, 4).unflatten(-1, (network.tracks, config.places))
        envelopes = fine_gain(logs, hop)
        index = torch.arange(frames * hop, device=mel.device) % NOISE_SAMPLES
        bands = (self.noise[:, index][None] * envelopes[:, 1:]).sum(1)
        real, imaginary = self.spectrum(train * envelopes[:, 0], frames)
        gain, hiss = gain.exp() * self.audible, hiss.exp() * self.audible
        cosine, sine = phase.cos() * gain, phase.sin() * gain
        noisy = self.spectrum(bands, frames)
        total = (
            real * cosine - imaginary * sine + noisy[0] * hiss,
            real * sine + imaginary * cosine + noisy[1] * hiss,
        )
        return self._project(self.spectrum.inverse(*total), log_mel, frames)

    def _read_pitch(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Hz and voicing (1, L); around the mel (1, L, M) there is silence, as `NeuralVocoder.pitch_of` has it."""
        context = self.network.pitch.body.context
        padded = functional.pad(log_mel, (0, 0, context, context), value=math.log(LOG_FLOOR))
        hertz, voicing = self.network.read_pitch(padded)
        return hertz[:, context:-context], voicing[:, context:-context]

    def _project(self, waveform: Tensor, log_mel: Tensor, frames: Tensor | int) -> Tensor:
        before = after = waveform
        padding = (STEP_SIZE[0] // 2, STEP_SIZE[1] // 2)
        for number in range(self.network.config.projections):
            real, imaginary = self.spectrum(after, frames)
            missing = (log_mel - self.spectrum.log_mel(real, imaginary)).clamp(-STEP, STEP)
            missing = functional.conv2d(missing[:, None], self.network.steps[number], padding=padding)[:, 0]
            gain = (missing.clamp(-STEP, STEP) @ self.spread).exp() * self.audible
            moved = self.spectrum.inverse(real * gain, imaginary * gain)
            after, before = moved + self.network.momentum[number] * (moved - before), moved
        return before
