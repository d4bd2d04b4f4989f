"""Speech from token ids: batched where batching is exact, the decoder one utterance at a time.

transformers' batched output differs near the end of shorter items and goes on with noise behind them, because its
decoder sees the padding. Here text encoder, durations and flow run together (they mask), and the decoder sees each
utterance at its own length, so an utterance sounds the same alone and in company.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amtts_vits.alignment import expanded, owners
from amtts_vits.duration import sampled_log_durations
from amtts_vits.generator import length_mask, prior_of, speaker_vectors
from amtts_vits.modules import Generator

PART = 384
"""Frames decoded in one go: what a processor's cache still holds, which is a tenth faster than all at once, and the
memory of a long text stays bounded."""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What to speak: token ids with blanks, how fast, how varied, and by whom."""

    tokens: Sequence[int]
    speed: float = 1.0
    seed: int = 0
    speaker: int = 0
    noise_scale: float = 0.667
    noise_scale_duration: float = 0.8


@dataclass(frozen=True)
class Spoken:
    """A waveform (T,) in [-1, 1] and the log durations (N,) it was made with, in frames at speed 1."""

    waveform: Tensor
    log_duration: Tensor


@dataclass(frozen=True)
class Latent:
    """What the decoder turns into sound: `frames` (C, L), the speaker (S, 1) or None, log durations (N,)."""

    frames: Tensor
    speaker: Tensor | None
    log_duration: Tensor


def speak(model: Generator, utterances: Sequence[Utterance]) -> list[Spoken]:
    """One waveform an utterance; best on a copy whose weight norm is folded."""
    return [
        Spoken(torch.cat(list(_in_parts(model, latent))), latent.log_duration)
        for latent in latents(model, utterances)
    ]


def _in_parts(model: Generator, latent: Latent) -> Iterator[Tensor]:
    return decode_in_chunks(model, latent.frames, latent.speaker, first=PART, largest=PART)


@torch.inference_mode()
def decode(model: Generator, frames: Tensor, speaker: Tensor | None) -> Tensor:
    """(C, L) -> (L x hop,) samples."""
    waveform = model.decoder(frames[None], None if speaker is None else speaker[None])
    return waveform[0, 0]


@torch.inference_mode()
def latents(model: Generator, utterances: Sequence[Utterance]) -> list[Latent]:
    """Everything before the decoder, as one batch."""
    device = model.text_encoder.embed_tokens.weight.device
    lengths = torch.tensor([len(u.tokens) for u in utterances], device=device)
    tokens = torch.zeros(len(utterances), int(lengths.max()), dtype=torch.long, device=device)
    for row, utterance in enumerate(utterances):
        tokens[row, : len(utterance.tokens)] = torch.tensor(utterance.tokens, device=device)
    speaker = speaker_vectors(model, torch.tensor([u.speaker for u in utterances], device=device))
    random = [torch.Generator().manual_seed(u.seed) for u in utterances]

    prior = prior_of(model, tokens, lengths)
    scales = [u.noise_scale_duration for u in utterances]
    noise = _noise(random, 2, lengths.tolist(), scales).to(device)
    log_duration = sampled_log_durations(model.duration_predictor, prior.hidden, prior.mask, noise, speaker)
    ends = _ends(log_duration, prior.mask, [u.speed for u in utterances])
    frames = ends[:, -1]
    owner = owners(ends, int(frames.max()))
    mask = length_mask(frames, owner.shape[1])
    scales = [u.noise_scale for u in utterances]
    noise = _noise(random, prior.mean.shape[1], frames.tolist(), scales).to(device)
    z_p = expanded(prior.mean, owner) + noise * torch.exp(expanded(prior.log_std, owner))
    z = model.flow(z_p, mask, speaker, reverse=True) * mask
    return [
        Latent(
            z[row, :, : int(frames[row])],
            None if speaker is None else speaker[row],
            log_duration[row, 0, : int(lengths[row])],
        )
        for row in range(len(utterances))
    ]


def _ends(log_duration: Tensor, mask: Tensor, speeds: Sequence[float]) -> Tensor:
    """(B, 1, N) log durations -> (B, N) whole frames after which each symbol ends.

    Durations are rounded up, as published. Another speed scales where symbols end, not each duration: rounding those
    up would add half a frame a symbol, and fast speech would not be fast.
    """
    ends = (torch.exp(log_duration) * mask).ceil()[:, 0].cumsum(1)
    speed = torch.tensor(speeds, device=ends.device)[:, None]
    return (ends / speed).round().long().clamp(min=1)  # no frame at all cannot be decoded


def _noise(
    random: Sequence[torch.Generator], channels: int, lengths: Sequence[int], scales: Sequence[float]
) -> Tensor:
    """(B, channels, longest): each row drawn at its own length, so that company does not change it."""
    out = torch.zeros(len(random), channels, max(lengths))
    for row, (generator, length, scale) in enumerate(zip(random, lengths, scales, strict=True)):
        if scale:
            out[row, :, :length] = scale * torch.randn(channels, length, generator=generator)
    return out


def receptive_frames(model: Generator) -> int:
    """Frames to each side that can change a frame's samples in the decoder."""
    config = model.config
    reach, rate = 3.0, 1.0  # the first convolution spans 7 frames
    for factor, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
        reach += kernel / factor / rate
        rate *= factor
        blocks = zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
        reach += max(sum((size - 1) // 2 * (d + 1) for d in dilations) for size, dilations in blocks) / rate
    return int(reach + 3 / rate) + 2


@torch.inference_mode()
def decode_in_chunks(
    model: Generator, frames: Tensor, speaker: Tensor | None, *, first: int = 24, largest: int = 192
) -> Iterator[Tensor]:
    """The samples of `decode`, piece by piece: each piece is decoded with all frames that can change it.

    Args:
        model: weight norm folded.
        frames: (C, L).
        speaker: (S, 1) or None.
        first: frames of the first piece; pieces double in length up to `largest`.
        largest: frames of a piece at most.
    """
    hop = 1
    for factor in model.config.upsample_rates:
        hop *= factor
    margin, total, start, size = receptive_frames(model), frames.shape[1], 0, first
    while start < total:
        end = min(total, start + size)
        before, after = max(0, start - margin), min(total, end + margin)
        made = decode(model, frames[:, before:after], speaker)
        yield made[(start - before) * hop : (end - before) * hop]
        start, size = end, min(2 * size, largest)
