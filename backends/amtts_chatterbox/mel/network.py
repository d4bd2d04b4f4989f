"""The network: symbols to hidden states, hidden states to durations, both to a mel spectrogram.

Knows tensors only: no text, no audio files, no losses. B items, N symbols, L frames, H hidden, M mel channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.mel.blocks import ConvStack
from amtts_chatterbox.mel.config import ChatterboxMelConfig
from amtts_chatterbox.mel.flow import FlowDecoder
from amtts_chatterbox.mel.pitch import PitchDrawing, PitchPredictor
from amtts_core.nn.monotonic_alignment_search import monotonic_durations


def sinusoids(length: int, channels: int, device: torch.device) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017), (length, channels)."""
    rate = torch.exp(torch.arange(0, channels, 2, device=device) * (-math.log(10000.0) / channels))
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def length_mask(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, longest, 1) float, 1 inside."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()[..., None]


@dataclass(frozen=True)
class Encoded:
    """Text after the encoder: `hidden` (B, N, H), `mean` (B, N, M), `log_duration` (B, N), `mask` (B, N, 1)."""

    hidden: Tensor
    mean: Tensor
    log_duration: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Voice:
    """Pitch, normalized, and voicing in [0, 1] of every frame, (B, L) each."""

    pitch: Tensor
    voicing: Tensor


@dataclass(frozen=True)
class Frames:
    """Frames that symbols have been stretched over.

    Attributes:
        prior: (B, L, M) the symbols' means, normalized.
        hidden: (B, L, H).
        mask: (B, L, 1).
    """

    prior: Tensor
    hidden: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Decoded:
    """Frames after the decoder: `mel` (B, L, M) normalized, and the flow's `conditions` (B, L, C)."""

    mel: Tensor
    conditions: Tensor


@dataclass(frozen=True)
class FlowDraws:
    """The random draws of a training pass: `noise` (B, S, M), `time` (B,), and `start` (B,) in [0, 1) of segments."""

    noise: Tensor
    time: Tensor
    start: Tensor


@dataclass(frozen=True)
class TrainingPass:
    """What the learner compares; parts that the network lacks are None.

    Attributes:
        encoded: the text.
        durations: (B, N) frames that the alignment gave each symbol.
        prior: (B, L, M) stretched means.
        mel: (B, L, M) the decoder's.
        pitch, voicing: (B, L) predicted pitch, normalized, and logits of the voicing.
        flow: loss of the flow.
    """

    encoded: Encoded
    durations: Tensor
    prior: Tensor
    mel: Tensor
    pitch: Tensor | None = None
    voicing: Tensor | None = None
    flow: Tensor | None = None


class ChatterboxMel(nn.Module):
    """Text symbols to normalized log-mels.

    Args:
        config: sizes.
        num_tokens: rows of the text embedding.
        num_speakers: rows of the speaker table; 0 builds none.
    """

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, config: ChatterboxMelConfig, *, num_tokens: int, num_speakers: int = 0) -> None:
        super().__init__()
        self.config = config
        hidden, channels = config.hidden, config.mel.n_mels
        shared: dict[str, Any] = {"expansion": config.expansion, "dropout": config.dropout}
        self.text_embedding = nn.Embedding(num_tokens, hidden)
        self.speaker_embedding = nn.Embedding(num_speakers, hidden) if num_speakers else None
        self.position_scale = nn.Parameter(torch.tensor(0.1))
        self.encoder = ConvStack(
            hidden,
            layers=config.encoder_layers,
            kernel=config.encoder_kernel,
            **shared,
        )
        self.mean = nn.Linear(hidden, channels)
        self.duration = ConvStack(
            hidden,
            layers=config.duration_layers,
            kernel=config.duration_kernel,
            **shared,
        )
        self.log_duration = nn.Linear(hidden, 1)
        self.expand = nn.Linear(hidden, hidden)
        self.place = nn.Linear(2, hidden)
        self.decoder = ConvStack(
            hidden,
            layers=config.decoder_layers,
            kernel=config.decoder_kernel,
            **shared,
        )
        self.refine = nn.Linear(hidden, channels)
        self.pitch_predictor: PitchPredictor | None = None
        if config.pitch.layers:
            self.pitch_predictor = PitchPredictor(hidden, config.pitch, dropout=config.dropout)
            self.drawing = PitchDrawing(config)
            self.draw = nn.Linear(self.drawing.channels, hidden)
        self.flow: FlowDecoder | None = None
        if config.flow.layers:
            drawn = self.drawing.channels if config.pitch.layers else 0
            self.flow = FlowDecoder(config, conditions=hidden + channels + drawn)
            self.segment = config.flow.segment
        self.register_buffer("mel_mean", torch.zeros(channels))
        self.register_buffer("mel_std", torch.ones(channels))

    def encode(self, tokens: Tensor, lengths: Tensor, speakers: Tensor | None = None) -> Encoded:
        """tokens (B, N) int64, lengths (B,), speakers (B,) int64 or None."""
        mask = length_mask(lengths, tokens.shape[1])
        hidden = self.text_embedding(tokens)
        hidden = hidden + self.position_scale * sinusoids(tokens.shape[1], hidden.shape[2], tokens.device)
        if self.speaker_embedding is not None and speakers is not None:
            hidden = hidden + self.speaker_embedding(speakers)[:, None]
        hidden = self.encoder(hidden * mask, mask)
        # Durations are learnt on top of the text, without bending it: no gradient flows back into the encoder.
        log_duration = self.log_duration(self.duration(hidden.detach(), mask))[..., 0]
        return Encoded(hidden, self.mean(hidden), log_duration, mask)

    @torch.no_grad()
    def align(self, encoded: Encoded, mel: Tensor, lengths: Tensor, frames: Tensor) -> Tensor:
        """Durations (B, N) that bring each symbol's mean nearest to the normalized mel (B, L, M)."""
        score = -torch.cdist(encoded.mean.float(), mel.float()).square()
        found = monotonic_durations(score.cpu().numpy(), lengths.cpu().numpy(), frames.cpu().numpy())
        return torch.from_numpy(found).to(mel.device)

    def stretch(self, encoded: Encoded, durations: Tensor) -> Frames:
        """Stretches each symbol over its frames.

        Args:
            encoded: from `encode`.
            durations: (B, N) int64 frames per symbol.
        """
        owner, place, mask = regulate(durations)
        rows = torch.arange(len(owner), device=owner.device)[:, None]
        prior = encoded.mean[rows, owner] * mask
        hidden = (self.expand(encoded.hidden)[rows, owner] + self.place(place)) * mask
        return Frames(prior, hidden, mask)

    def predict_voice(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """Pitch, normalized, and logits of the voicing, (B, L) each; no gradient flows back into the text."""
        assert self.pitch_predictor is not None
        pitch, voicing = self.pitch_predictor(frames.hidden.detach(), frames.mask)
        return pitch, voicing

    def decode(self, frames: Frames, voice: Voice | None = None) -> Decoded:
        """Refines the stretched means; zero beyond each item's frames.

        Args:
            frames: from `stretch`.
            voice: pitch and voicing; None for a network without.
        """
        hidden, parts = frames.hidden, []
        if voice is not None:
            parts = [self.drawing(voice.pitch, voice.voicing) * frames.mask]
            hidden = hidden + self.draw(parts[0]) * frames.mask
        hidden = self.decoder(hidden, frames.mask)
        mel = (frames.prior + self.refine(hidden)) * frames.mask
        return Decoded(mel, torch.cat([hidden, mel.detach(), *parts], dim=-1))

    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor,
        mel: Tensor,
        frames: Tensor,
        speakers: Tensor | None = None,
        voice: Voice | None = None,
        draws: FlowDraws | None = None,
    ) -> TrainingPass:
        """The training pass: aligns, then decodes with the found durations.

        Args:
            tokens, lengths, speakers: as in `encode`.
            mel: (B, L, M) normalized target.
            frames: (B,) frames of each item.
            voice: pitch and voicing of the recordings; None for a network without.
            draws: of the flow; None leaves its loss out.
        """
        encoded = self.encode(tokens, lengths, speakers)
        durations = self.align(encoded, mel, lengths, frames)
        stretched = self.stretch(encoded, durations)
        pitch, voicing = self.predict_voice(stretched) if voice is not None else (None, None)
        decoded = self.decode(stretched, voice)
        flow = None
        if self.flow is not None and draws is not None:
            flow = self._flow_loss(mel, decoded, stretched.mask, frames, draws)
        return TrainingPass(encoded, durations, stretched.prior, decoded.mel, pitch, voicing, flow)

    def _flow_loss(
        self, target: Tensor, decoded: Decoded, mask: Tensor, frames: Tensor, draws: FlowDraws
    ) -> Tensor:
        """The flow's loss on a segment of each item."""
        assert self.flow is not None
        size = draws.noise.shape[1]
        start = (draws.start * (frames - size + 1).clamp(min=1)).long()
        at = (start[:, None] + torch.arange(size, device=target.device)).clamp(max=target.shape[1] - 1)
        rows = torch.arange(len(target), device=target.device)[:, None]
        cut = [tensor[rows, at] for tensor in (target, decoded.mel, decoded.conditions)]
        inside = (torch.arange(size, device=target.device) < frames[:, None])[..., None] * mask[rows, at]
        return self.flow.loss(cut[0], cut[1], cut[2], inside, draws.noise, draws.time)

    def draw_mel(
        self,
        frames: Frames,
        noise: Tensor | None = None,
        *,
        voice: Voice | None = None,
        change: Callable[[Voice], Voice] | None = None,
        steps: int = 6,
    ) -> Tensor:
        """Natural-log mel (B, L, M) of stretched symbols.

        Args:
            frames: from `stretch`.
            noise: (B, L, M) that the flow begins with; None leaves the flow out.
            voice: pitch and voicing; None predicts them.
            change: what to do with the predicted ones.
            steps: Euler steps of the flow.
        """
        if self.pitch_predictor is not None and voice is None:
            pitch, voicing = self.predict_voice(frames)
            voice = Voice(pitch, voicing.sigmoid())
            voice = change(voice) if change is not None else voice
        decoded = self.decode(frames, voice)
        mel = decoded.mel
        if self.flow is not None and noise is not None:
            mel = self.flow.sample(mel, decoded.conditions, frames.mask, noise, steps=steps)
        return with_contrast(self.denormalize(mel), frames.mask, self.config.contrast)

    def normalize(self, mel: Tensor) -> Tensor:
        """Natural-log mel (..., M) -> zero mean, unit deviation per channel."""
        return (mel - self.mel_mean) / self.mel_std

    def denormalize(self, mel: Tensor) -> Tensor:
        """Inverse of `normalize`."""
        return mel * self.mel_std + self.mel_mean


def regulate(durations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The length regulator as indices.

    Args:
        durations: (B, N) int64.

    Returns:
        owner (B, L) symbol of each frame; place (B, L, 2): frames since the symbol began over 10, and the share of
        the symbol that has passed; mask (B, L, 1).
    """
    ends = durations.cumsum(1)
    total = ends[:, -1]
    frame = torch.arange(int(total.max()), device=durations.device).expand(len(durations), -1).contiguous()
    owner = torch.searchsorted(ends, frame, right=True).clamp(max=durations.shape[1] - 1)
    since = (frame - (ends - durations).gather(1, owner)).float()
    share = since / durations.gather(1, owner).clamp(min=1)
    mask = (frame < total[:, None]).float()[..., None]
    return owner, torch.stack([since / 10, share], dim=-1) * mask, mask


CONTRAST_WIDTH = 19
"""Channels of the average from which `with_contrast` moves a mel away."""
LEAST_CONTRAST, LACKING_CONTRAST = 0.3, 1.4
"""Exaggeration of every voice, and what is added for each neper that its contrast is below 1."""


def with_contrast(mel: Tensor, mask: Tensor, factor: float) -> Tensor:
    """A log-mel (B, L, M) with its peaks and valleys over channels exaggerated, more so where they are flat.

    What is predicted lacks contrast: averages of formants and harmonics that lie a little apart are wide and flat.
    Post-filters of parametric synthesis enhance formants for that reason (Koishida et al. 1995; Toda and Tokuda 2007).
    A person's voice as predicted has a deviation of 0.5 to 0.7 nepers from its average over neighboring channels where
    the recordings have 0.7 to 0.85, an eSpeak voice 1 to 1.2; docs/log.md has what exaggeration suits each.

    Args:
        mel: natural log.
        mask: (B, L, 1).
        factor: of the exaggeration; 0 gives the mel back.
    """
    if not factor:
        return mel
    margin = CONTRAST_WIDTH // 2
    around = functional.avg_pool1d(functional.pad(mel, (margin, margin), mode="replicate"), CONTRAST_WIDTH, 1)
    apart = mel - around
    level = mel.mean(2, keepdim=True)
    middle = (level * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    loud = (level > middle).to(mel) * mask
    own = ((apart.square() * loud).sum((1, 2)) / (loud.sum((1, 2)) * mel.shape[2]).clamp(min=1)).sqrt()
    amount = factor * (LEAST_CONTRAST + LACKING_CONTRAST * (1 - own).clamp(min=0))
    return mel + amount[:, None, None] * apart


def at_pace(mel: Tensor, speed: float) -> Tensor:
    """A mel (L, M) at another speed: frames between its frames, about L / speed of them.

    Decoding shorter durations instead makes speech quieter, as no training text was spoken so fast.
    """
    if speed == 1:
        return mel
    frames = max(1, round(len(mel) / speed))
    return functional.interpolate(mel.T[None], size=frames, mode="linear", align_corners=False)[0].T


def whole_durations(log_duration: Tensor, mask: Tensor) -> Tensor:
    """Predicted log durations (B, N) -> whole frames (B, N), at least 1 per symbol.

    Rounds the running total rather than each symbol, so that the utterance keeps its length.
    """
    wanted = log_duration.exp().clamp(min=1.0, max=200.0) * mask[..., 0]
    ends = wanted.cumsum(1).round()
    whole = ends - functional.pad(ends[:, :-1], (1, 0))  # torch.diff has no ONNX operation
    return (whole.clamp(min=1) * mask[..., 0]).long()
