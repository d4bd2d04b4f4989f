"""The network: log-mel to pitch, to gains and phases of the excitation, to a waveform with the given mel.

Knows tensors only. B items, L frames, M mel channels, K bins, T = L * hop samples.

The frame is Vocos' (Siuzdak 2023): ConvNeXt blocks at the frame rate and an inverse STFT. It starts from the mel
spread over the bins (FreeV, Lv et al. 2024), filters a harmonic and a noise excitation (NSF, Wang et al. 2019;
HiFTNet, Li et al. 2023; Wavehax, Yoneyama et al. 2024), and ends with projections onto the given mel: the spectrum's
fine structure stays, each band's level becomes what was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_vocoders.neural.config import VocoderConfig
from amtts_vocoders.neural.source import BAND_EDGES, cycles_of, fine_gain, noise, pulses
from amtts_vocoders.neural.spectrum import FrameSpectrum, scaled

MEAN, DEVIATION = -5.0, 2.5
"""Of natural-log mels of speech, roughly: what the network's inputs are shifted and scaled by."""
STEP_SIZE = (5, 3)
"""Frames and bands of the kernel of a projection."""
MOMENTUM = 0.8
STEP = 3.0
"""Largest correction of one projection, nepers."""


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm and a pointwise bottleneck, residual (Liu et al. 2022)."""

    def __init__(self, channels: int, *, kernel: int, expansion: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, channels * expansion)
        self.narrow = nn.Linear(channels * expansion, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, L, H) -> (B, L, H)."""
        mixed = self.norm(self.depthwise(hidden.transpose(1, 2)).transpose(1, 2))
        return hidden + self.scale * self.narrow(functional.gelu(self.widen(mixed), approximate="tanh"))


class ConvNeXt(nn.Module):
    """An input convolution, blocks and a norm: (B, L, C) -> (B, L, H)."""

    def __init__(self, inputs: int, channels: int, *, layers: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, channels, kernel, padding=kernel // 2)
        self.norm = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(channels, kernel=kernel, expansion=expansion, scale=1 / layers)
            for _ in range(layers)
        )
        self.final = nn.LayerNorm(channels)
        self.context = (layers + 1) * (kernel // 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, H)."""
        hidden = self.norm(self.enter(inputs.transpose(1, 2)).transpose(1, 2))
        for block in self.blocks:
            hidden = block(hidden)
        return self.final(hidden)


@dataclass(frozen=True)
class Pitch:
    """`logits` (B, L, bins) of the fundamental frequency, `voicing` (B, L) logits."""

    logits: Tensor
    voicing: Tensor


class PitchPredictor(nn.Module):
    """Fundamental frequency as a class and voicing, from the mel (classes as in CREPE, Kim et al. 2018)."""

    centers: Tensor

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        own = config.pitch
        self.body = ConvNeXt(
            config.mel.n_mels, own.hidden, layers=own.layers, kernel=config.kernel, expansion=2
        )
        self.head = nn.Linear(own.hidden, own.bins + 1)
        self.register_buffer(
            "centers", torch.linspace(math.log(own.low), math.log(own.high), own.bins), persistent=False
        )

    def forward(self, inputs: Tensor) -> Pitch:
        """Normalized mel (B, L, M) -> `Pitch`."""
        out = self.head(self.body(inputs))
        return Pitch(out[..., :-1], out[..., -1])

    def decode(self, pitch: Pitch) -> tuple[Tensor, Tensor]:
        """Hz (B, L): the mean of the classes next to the likeliest, and the probability of voicing (B, L)."""
        best = pitch.logits.argmax(-1, keepdim=True)
        near = (best + torch.arange(-3, 4, device=best.device)).clamp(0, len(self.centers) - 1)
        weight = pitch.logits.gather(-1, near).softmax(-1)
        hertz = (weight * self.centers[near]).sum(-1).exp()
        return hertz, pitch.voicing.sigmoid()

    def target(self, hertz: Tensor) -> Tensor:
        """Hz (B, L) -> soft classes (B, L, bins), a Gaussian one class wide."""
        step = self.centers[1] - self.centers[0]
        apart = (hertz.clamp(min=1e-3).log()[..., None] - self.centers) / step
        return (-0.5 * apart.square()).softmax(-1)


@dataclass(frozen=True)
class Filters:
    """What the excitations pass through.

    Attributes:
        harmonic: complex (B, L, K), what the pulse train's spectrum is multiplied with.
        noise: (B, L, K), the same of the noise.
        envelopes: (B, 1 + bands, T), gains of the pulse train and of the bands of the noise within a frame.
    """

    harmonic: Tensor
    noise: Tensor
    envelopes: Tensor


class VocoderNetwork(nn.Module):
    """What speaks: pitch predictor, backbone and head."""

    level: Tensor

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        mel = config.mel
        self.config = config
        self.spectrum = FrameSpectrum(mel)
        self.pitch = PitchPredictor(config)
        self.body = ConvNeXt(
            2 * mel.n_mels + 2,
            config.hidden,
            layers=config.layers,
            kernel=config.kernel,
            expansion=config.expansion,
        )
        self.tracks = 2 + len(BAND_EDGES)
        self.sizes = [mel.n_mels] * 3 + [self.tracks * config.places]
        self.head = nn.Linear(config.hidden, sum(self.sizes))
        nn.init.normal_(self.head.weight, std=1e-3)
        with torch.no_grad():
            loud, soft, angle, places = self.head.bias.split(self.sizes)
            loud.copy_(
                torch.linspace(0.0, -1.5, mel.n_mels)
            )  # harmonics weaken with frequency, noise strengthens
            soft.copy_(torch.linspace(-2.0, 0.0, mel.n_mels))
            angle.zero_()
            places.zero_()
        steps = torch.zeros(config.projections, 1, 1, *STEP_SIZE)
        steps[..., STEP_SIZE[0] // 2, STEP_SIZE[1] // 2] = 1.0
        self.steps = nn.Parameter(steps)
        self.momentum = nn.Parameter(torch.full((config.projections,), MOMENTUM))
        white = torch.full((mel.n_fft // 2 + 1,), math.sqrt(math.pi / 4 * 0.375 * mel.n_fft))
        level = (self.spectrum.filters @ white).clamp(min=1e-5).log()
        self.register_buffer("level", level, persistent=False)
        self.highest = min(mel.fmax, 0.49 * mel.sample_rate)

    def normalized(self, log_mel: Tensor) -> Tensor:
        """Natural-log mel, shifted and scaled."""
        return (log_mel - MEAN) / DEVIATION

    def pulses(self, hertz: Tensor, cycles: Tensor) -> Tensor:
        """Pitch (B, L) Hz and its phase (B, T) in periods -> pulse train (B, T)."""
        mel = self.config.mel
        return pulses(cycles, hertz, hop=mel.hop, rate=mel.sample_rate, highest=self.highest)

    def noise(self, start: Tensor, frames: int) -> Tensor:
        """Noise in bands (B, bands, T) from the samples `start` (B,) on."""
        mel = self.config.mel
        return noise(start, frames * mel.hop, rate=mel.sample_rate)

    def filters(self, log_mel: Tensor, hertz: Tensor, voicing: Tensor, train: Tensor) -> Filters:
        """What the excitations of a mel pass through.

        Args:
            log_mel: (B, L, M) natural log.
            hertz, voicing: (B, L), see `read_pitch`.
            train: (B, T) the pulse train.
        """
        level = (self.spectrum.log_mel(self.spectrum(train)) - self.level).clamp(min=-6)
        hidden = self.hidden(log_mel, level, hertz, voicing)
        loud, soft, angle, places = self.head(hidden).split(self.sizes, dim=-1)
        base = log_mel - self.level
        bands = torch.cat([base + loud, base + soft, angle])
        gain, hiss, phase = (bands @ self.spectrum.spread.T).clamp(-16, 8).chunk(3)
        audible = self.spectrum.audible
        logs = places.clamp(-4, 4).unflatten(-1, (self.tracks, self.config.places))
        return Filters(
            torch.polar(gain.exp() * audible, phase),
            hiss.exp() * audible,
            fine_gain(logs, self.config.mel.hop),
        )

    def hidden(self, log_mel: Tensor, level: Tensor, hertz: Tensor, voicing: Tensor) -> Tensor:
        """Mel and the pulse train's mel (B, L, M), pitch and voicing (B, L) -> what the head reads, (B, L, H)."""
        pitch = torch.stack([hertz.log() - math.log(200.0), 2 * voicing - 1], dim=-1)
        hidden: Tensor = self.body(torch.cat([self.normalized(log_mel), level, pitch], dim=-1))
        return hidden

    def harmonics(self, train: Tensor, filters: Filters) -> Tensor:
        """Pulse train (B, T) -> its filtered spectrum (B, L, K)."""
        return self.spectrum(train * filters.envelopes[:, 0]) * filters.harmonic

    def hiss(self, bands: Tensor, filters: Filters) -> Tensor:
        """Noise in bands (B, bands, T) -> its filtered spectrum (B, L, K)."""
        return scaled(self.spectrum((bands * filters.envelopes[:, 1:]).sum(1)), filters.noise)

    def project(self, waveform: Tensor, log_mel: Tensor, *, times: int) -> Tensor:
        """Scales the bands of (B, T) so that its mel comes near `log_mel` (B, L, M), `times` times.

        Overlapping frames undo a part of what each band gets, so what is missing is sharpened over frames and bands by
        a small learned kernel, with momentum.
        """
        before = after = waveform
        padding = (STEP_SIZE[0] // 2, STEP_SIZE[1] // 2)
        for number in range(times):
            spectrum = self.spectrum(after)
            missing = (log_mel - self.spectrum.log_mel(spectrum)).clamp(-STEP, STEP)
            missing = functional.conv2d(missing[:, None], self.steps[number], padding=padding)[:, 0]
            gain = (missing.clamp(-STEP, STEP) @ self.spectrum.spread.T).exp() * self.spectrum.audible
            moved = self.spectrum.inverse(scaled(spectrum, gain))
            after, before = moved + self.momentum[number] * (moved - before), moved
        return before

    def forward(self, log_mel: Tensor) -> Tensor:
        """Natural-log mel (B, L, M) -> waveform (B, T)."""
        hertz, voicing = self.read_pitch(log_mel)
        mel = self.config.mel
        cycles = cycles_of(hertz, hop=mel.hop, rate=mel.sample_rate)
        begin = torch.zeros(len(log_mel), dtype=torch.long, device=log_mel.device)
        return self.speak(log_mel, hertz, voicing, cycles, begin)

    def read_pitch(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Natural-log mel (B, L, M) -> Hz and amplitude of voicing, (B, L) each."""
        return self.pitch.decode(self.pitch(self.normalized(log_mel)))

    def speak(
        self, log_mel: Tensor, hertz: Tensor, voicing: Tensor, cycles: Tensor, noise_start: Tensor
    ) -> Tensor:
        """Waveform (B, T) of a mel (B, L, M) whose pitch is known.

        Args:
            log_mel: natural log.
            hertz, voicing: (B, L), see `read_pitch`.
            cycles: (B, T) float64 periods passed at each sample.
            noise_start: (B,) place in the noise of the first sample.
        """
        train = self.pulses(hertz, cycles)
        filters = self.filters(log_mel, hertz, voicing, train)
        total = self.harmonics(train, filters)
        total = total + self.hiss(self.noise(noise_start, log_mel.shape[1]), filters)
        return self.project(self.spectrum.inverse(total), log_mel, times=self.config.projections)

    @property
    def context(self) -> int:
        """Frames on both sides that a sample depends on when the pitch is known."""
        parts = self.spectrum.parts
        return (parts + STEP_SIZE[0] // 2) * self.config.projections + 2 * parts + self.body.context + 3
