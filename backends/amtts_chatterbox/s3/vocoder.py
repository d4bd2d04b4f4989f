"""HiFT: mel to waveform at 24 kHz, by a pitch, a sine source and an inverse Fourier transform.

HiFTNet (Li et al. 2023, arXiv 2309.09493) as CosyVoice 2 and Chatterbox have it: a neural source filter (Wang et al.
2019), HiFi-GAN's blocks with Snake activations (Ziyin et al. 2020; BigVGAN), and an inverse STFT of 16 points.
B items, L mel frames, T = 480 L samples, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.s3.estimator import MELS

RATE = 24000
HOP = 480
HARMONICS = 9
VOICED_ABOVE = 10.0
"""Hz."""
SINE, NOISE = 0.1, 0.003
"""Amplitudes in voiced frames; unvoiced ones have noise of a third of the sine's."""
STRIDES, KERNELS = (8, 5, 3), (16, 11, 7)
FFT, FFT_HOP = 16, 4
BLOCK_KERNELS, SOURCE_KERNELS, DILATIONS = (3, 7, 11), (7, 7, 11), (1, 3, 5)
LOUDEST, LIMIT = 100.0, 0.99
PITCH_REACH, DECODER_REACH = 5, 14
"""Mel frames on either side that the pitch of a frame, and the samples of a frame with their source, depend on."""
CONTEXT = PITCH_REACH + DECODER_REACH


def snake(hidden: Tensor, alpha: Tensor) -> Tensor:
    """x + sin(a x)^2 / a, (B, C, T) with alpha (C,)."""
    factor = alpha[:, None]
    return hidden + torch.sin(factor * hidden).square() / (factor + 1e-9)


class Pitch(nn.Module):
    """Mel to fundamental frequency in Hz: five convolutions with ELU and a linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (MELS, channels, channels, channels, channels):
            layers += [nn.Conv1d(inputs, channels, 3, padding=1), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, 80, L) -> (B, L)."""
        out: Tensor = self.classifier(self.condnet(mel).transpose(1, 2))[..., 0].abs()
        return out


class Resblock(nn.Module):
    """Pairs of convolutions, dilated and plain, each behind a Snake and added."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=(kernel - 1) * d // 2)
            for d in DILATIONS
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2) for _ in DILATIONS
        )
        self.alphas1 = nn.ParameterList(nn.Parameter(torch.ones(channels)) for _ in DILATIONS)
        self.alphas2 = nn.ParameterList(nn.Parameter(torch.ones(channels)) for _ in DILATIONS)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for first, second, one, two in zip(self.convs1, self.convs2, self.alphas1, self.alphas2, strict=True):
            hidden = hidden + second(snake(first(snake(hidden, one)), two))
        return hidden


class Hift(nn.Module):
    """Mels to waveforms.

    Args:
        channels: behind the first convolution.
        pitch_channels: of the pitch predictor.
    """

    def __init__(self, *, channels: int = 512, pitch_channels: int = 512) -> None:
        super().__init__()
        self.f0_predictor = Pitch(pitch_channels)
        self.mix = nn.Linear(HARMONICS, 1)
        self.conv_pre = nn.Conv1d(MELS, channels, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        self.source_downs, self.source_resblocks = nn.ModuleList(), nn.ModuleList()
        left = math.prod(STRIDES)
        for stride, kernel, source in zip(STRIDES, KERNELS, SOURCE_KERNELS, strict=True):
            width, left = channels // 2, left // stride
            padding = (kernel - stride) // 2
            self.ups.append(nn.ConvTranspose1d(channels, width, kernel, stride=stride, padding=padding))
            taps = 1 if left == 1 else 2 * left
            self.source_downs.append(nn.Conv1d(FFT + 2, width, taps, stride=left, padding=left // 2))
            self.source_resblocks.append(Resblock(width, source))
            self.resblocks.extend(Resblock(width, size) for size in BLOCK_KERNELS)
            channels = width
        self.conv_post = nn.Conv1d(channels, FFT + 2, 7, padding=3)

    def pitch(self, mel: Tensor) -> Tensor:
        """Fundamental frequency (B, L) of mels (B, 80, L), Hz."""
        out: Tensor = self.f0_predictor(mel)
        return out

    def source(self, pitch: Tensor, phase: Tensor, noise: Tensor, turned: Tensor | None = None) -> Tensor:
        """Sines of the pitch's harmonics, mixed, (B, T).

        The phase is the exact sum of the frequencies before: in a frame it is straight, so double precision has it in
        closed form. The original sums float32, whose rounding grows with the length of the speech.

        Args:
            pitch: (B, L), Hz.
            phase: of each harmonic at the start, (B, 9) in radians; the first counts as 0.
            noise: (B, 9, T), normal.
            turned: cycles (B, 9) that the harmonics have turned before the first frame, see `turns`.
        """
        voiced = (pitch > VOICED_ABOVE).repeat_interleave(HOP, dim=1)[:, None].to(pitch)
        start = torch.zeros_like(phase, dtype=torch.float64) if turned is None else turned
        cycles = self._per_sample(pitch)
        before = start[..., None] + (cycles * HOP).cumsum(-1) - cycles * HOP
        steps = torch.arange(1, HOP + 1, device=pitch.device, dtype=torch.float64)
        angle = (before[..., None] + cycles[..., None] * steps).remainder_(1).to(pitch.dtype).flatten(2)
        phase = torch.cat([torch.zeros_like(phase[:, :1]), phase[:, 1:]], dim=1)
        sines = torch.sin(2 * math.pi * angle + phase[..., None]).mul_(SINE)
        loudness = voiced * NOISE + (1 - voiced) * SINE / 3
        waves = sines * voiced + loudness * noise
        return torch.tanh(self.mix(waves.transpose(1, 2)))[..., 0]

    @staticmethod
    def _per_sample(pitch: Tensor) -> Tensor:
        """Cycles of each harmonic in a sample, (B, 9, L) float64, from the float32 frequencies."""
        harmonics = torch.arange(1, HARMONICS + 1, device=pitch.device, dtype=pitch.dtype)
        return (pitch[:, None] * harmonics[:, None] / RATE).double()

    def turns(self, pitch: Tensor, before: Tensor | None = None) -> Tensor:
        """Cycles (B, 9) that the harmonics have turned behind frames (B, L); `before` them."""
        turned = (self._per_sample(pitch) * HOP).sum(-1)
        return (turned if before is None else before + turned).remainder(1)

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """Waveform (B, T) of mels (B, 80, L) and their source (B, T)."""
        window = torch.hann_window(FFT, device=mel.device)
        spectrum = torch.stft(source, FFT, FFT_HOP, window=window, center=True, return_complex=True)
        driving = torch.cat([spectrum.real, spectrum.imag], dim=1)
        hidden = self.conv_pre(mel)
        for stage, (up, down, block) in enumerate(
            zip(self.ups, self.source_downs, self.source_resblocks, strict=True)
        ):
            hidden = up(functional.leaky_relu(hidden, 0.1))
            if stage == len(STRIDES) - 1:
                hidden = functional.pad(hidden, (1, 0), mode="reflect")
            hidden = hidden + block(down(driving))
            several = self.resblocks[3 * stage : 3 * stage + 3]
            hidden = torch.stack([resblock(hidden) for resblock in several]).mean(0)
        return self.waveform(self.conv_post(functional.leaky_relu(hidden, 0.01)), window)

    @staticmethod
    def waveform(spectrum: Tensor, window: Tensor) -> Tensor:
        """(B, 18, 120 L + 1), logarithms of magnitudes and angles before their sine -> (B, T)."""
        magnitude = spectrum[:, : FFT // 2 + 1].exp().clamp(max=LOUDEST)
        angle = spectrum[:, FFT // 2 + 1 :].sin()
        waves = torch.istft(torch.polar(magnitude, angle), FFT, FFT_HOP, window=window)
        return waves.clamp(-LIMIT, LIMIT)
