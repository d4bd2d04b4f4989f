"""The training pass of the generator.

Text and recording go in; the waveform of a short stretch, the prior, the posterior and the duration loss come out.
Everything random is drawn by `draws`, so that a stored run can be repeated number by number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amtts_core.audio.mel import MelConfig
from amtts_vits.alignment import alignment_score, best_durations, expanded, owners
from amtts_vits.duration import duration_loss
from amtts_vits.modules import Generator
from amtts_vits.spectrogram import mel_of_linear


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A batch as the training pass takes it.

    Attributes:
        tokens: (B, N) ids with blanks between them, padded with 0.
        token_lengths: (B,).
        spectrogram: (B, F, L) linear magnitudes, zero beyond the lengths; L is at least the segment.
        frame_lengths: (B,).
        waveform: (B, 1, L x hop) in [-1, 1], zero beyond the lengths.
        speakers: (B,) indices, None with one speaker.
    """

    tokens: Tensor
    token_lengths: Tensor
    spectrogram: Tensor
    frame_lengths: Tensor
    waveform: Tensor
    speakers: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What is random in a training pass.

    Attributes:
        posterior: (B, C, L) standard normal.
        duration: (B, 2, N) standard normal; None for the deterministic predictor.
        starts: (B,) first frame of each utterance's stretch.
    """

    posterior: Tensor
    duration: Tensor | None
    starts: Tensor


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What the text says about the latent: `hidden`, `mean`, `log_std` (B, C, N); `mask` (B, 1, N)."""

    hidden: Tensor
    mean: Tensor
    log_std: Tensor
    mask: Tensor


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What a training pass made. S samples of a stretch, K its frames.

    Attributes:
        prior: of the text.
        mean_q, log_std_q: (B, C, L) posterior of the recording.
        z, z_p: (B, C, L) latent, and the latent behind the flow.
        mean_p, log_std_p: (B, C, L) the prior laid out along the path.
        score: (B, L, N) what the path was searched in.
        durations: (B, N) frames of each symbol.
        mask: (B, 1, L).
        duration_loss: (B,).
        fake, real: (B, 1, S) made and recorded stretch.
        real_mel: (B, M, K) natural-log mel of the recorded stretch.
        segment_mask: (B, 1, K) 1 where the segment lies within the recording.
    """

    prior: Prior
    mean_q: Tensor
    log_std_q: Tensor
    z: Tensor
    z_p: Tensor
    mean_p: Tensor
    log_std_p: Tensor
    score: Tensor
    durations: Tensor
    mask: Tensor
    duration_loss: Tensor
    fake: Tensor
    real: Tensor
    real_mel: Tensor
    segment_mask: Tensor


def length_mask(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, 1, longest), 1.0 within the length."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()[:, None]


def stretches(values: Tensor, starts: Tensor, size: int) -> Tensor:
    """(B, C, T) -> (B, C, size) from `starts` (B,) on."""
    index = starts[:, None] + torch.arange(size, device=starts.device)
    return values.gather(2, index[:, None].expand(-1, values.shape[1], -1))


def prior_of(model: Generator, tokens: Tensor, token_lengths: Tensor) -> Prior:
    """The text encoder's view of tokens (B, N)."""
    mask = length_mask(token_lengths, tokens.shape[1])
    hidden, mean, log_std = model.text_encoder(tokens, mask)
    return Prior(hidden=hidden, mean=mean, log_std=log_std, mask=mask)


def speaker_vectors(model: Generator, speakers: Tensor | None) -> Tensor | None:
    """(B,) indices -> (B, S, 1)."""
    if model.config.num_speakers < 2:
        return None
    assert speakers is not None
    vectors: Tensor = model.embed_speaker(speakers)
    return vectors[..., None]


class TrainingPass(nn.Module):
    """See the module.

    Args:
        model: its submodules are trained in place.
        mel: of the spectrograms.
        segment_frames: frames of the stretch that is decoded.
    """

    def __init__(self, model: Generator, mel: MelConfig, *, segment_frames: int) -> None:
        super().__init__()
        self.model = model
        self.mel = mel
        self.segment_frames = segment_frames

    def draws(self, recording: Recording, *, fixed: bool = False) -> Draws:
        """Randomness for a batch.

        Args:
            recording: for its sizes.
            fixed: the same for an utterance every time, whatever it is batched with.
        """
        lengths, device = recording.frame_lengths, recording.frame_lengths.device
        room = (lengths - self.segment_frames).clamp(min=0)
        stochastic = self.model.config.use_stochastic_duration_prediction
        sizes = [
            (self.model.config.flow_size, recording.spectrogram.shape[2]),
            (2, recording.tokens.shape[1]),
        ]
        if fixed:
            posterior, duration = (_fixed_noise(*size, count=len(lengths)).to(device) for size in sizes)
            starts = room // 2
        else:
            posterior, duration = (torch.randn(len(lengths), *size, device=device) for size in sizes)
            starts = torch.minimum((torch.rand(len(lengths), device=device) * (room + 1)).long(), room)
        return Draws(posterior=posterior, duration=duration if stochastic else None, starts=starts)

    def forward(self, recording: Recording, draws: Draws) -> Passed:
        """One pass; see `Passed`."""
        model = self.model
        frames, hop = recording.spectrogram.shape[2], self.mel.hop
        speaker = speaker_vectors(model, recording.speakers)
        prior = prior_of(model, recording.tokens, recording.token_lengths)
        mask = length_mask(recording.frame_lengths, frames)

        stats = model.posterior_encoder(recording.spectrogram, mask, speaker)
        mean_q, log_std_q = stats.float().chunk(2, dim=1)
        z = (mean_q + draws.posterior * torch.exp(log_std_q)) * mask
        z_p = model.flow(z, mask, speaker)

        score = alignment_score(z_p.detach(), prior.mean.detach(), prior.log_std.detach())
        durations = best_durations(score, recording.token_lengths, recording.frame_lengths)
        owner = owners(durations.cumsum(1), frames)

        starts, size = draws.starts, self.segment_frames
        segment_mask = stretches(mask, starts, size)
        audible = segment_mask.repeat_interleave(hop, dim=2)
        fake = model.decoder(stretches(z, starts, size), speaker) * audible
        return Passed(
            prior=prior,
            mean_q=mean_q,
            log_std_q=log_std_q,
            z=z,
            z_p=z_p,
            mean_p=expanded(prior.mean, owner) * mask,
            log_std_p=expanded(prior.log_std, owner) * mask,
            score=score,
            durations=durations,
            mask=mask,
            duration_loss=duration_loss(
                model.duration_predictor,
                prior.hidden,
                prior.mask,
                durations[:, None].float(),
                draws.duration,
                speaker,
            ),
            fake=fake,
            real=stretches(recording.waveform, starts * hop, size * hop),
            real_mel=mel_of_linear(stretches(recording.spectrogram, starts, size), self.mel),
            segment_mask=segment_mask,
        )


def _fixed_noise(channels: int, longest: int, *, count: int) -> Tensor:
    """(count, channels, longest) standard normal, equal for all; a column does not depend on those behind it."""
    noise = torch.randn(longest, channels, generator=torch.Generator().manual_seed(0))
    return noise.T.expand(count, -1, -1)
