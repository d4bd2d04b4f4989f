"""The training step of VITS as published, on transformers' own modules: what `bench_vits.py` measures ours against.

Order and maths of jaywalnut310/vits `train.py`: real and fake are judged apart, both again with their graphs in the
generator's step, whose backward pass also makes gradients of the discriminators and throws them away; the prior is laid
out along the path by a product with it; the path is searched by the compiled code where that is installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import VitsConfig, VitsModel

from amtts_core.nn.monotonic_alignment_search import monotonic_durations
from amtts_vits.generator import Draws, Recording, length_mask
from amtts_vits.modules import Generator
from amtts_vits.spectrogram import log_mel, mel_of_linear
from amtts_vits.spline import spline
from amtts_vits.weights import add_decoder_norm

try:
    from monotonic_alignment_search import maximum_path
except ImportError:
    maximum_path = None


def stock_of(generator: Generator) -> Any:
    """transformers' own network with a copy of the weights of ours; its decoder has weight norm too, for training."""
    stock: Any = VitsModel(VitsConfig(**generator.config.published()))
    add_decoder_norm(stock.decoder)
    stock.load_state_dict(generator.state_dict(), strict=True)
    return stock


def published_pass(model: Any, recording: Recording, draws: Draws, settings: Any) -> dict[str, Tensor]:
    """The generator's half of a step, by the names that stored bundles give its tensors.

    `settings` has `segment_frames` and `mel`.
    """
    speaker = None if recording.speakers is None else model.embed_speaker(recording.speakers)[..., None]
    x_mask = length_mask(recording.token_lengths, recording.tokens.shape[1])
    y_mask = length_mask(recording.frame_lengths, recording.spectrogram.shape[2])
    text = model.text_encoder(
        input_ids=recording.tokens, padding_mask=x_mask.transpose(1, 2), attention_mask=x_mask[:, 0].long()
    )
    hidden = text.last_hidden_state.transpose(1, 2)
    mean, log_std = text.prior_means.transpose(1, 2), text.prior_log_variances.transpose(1, 2)
    encoder = model.posterior_encoder
    stats = encoder.wavenet(encoder.conv_pre(recording.spectrogram) * y_mask, y_mask, speaker)
    mean_q, log_q = (encoder.conv_proj(stats) * y_mask).chunk(2, dim=1)
    z = (mean_q + draws.posterior * torch.exp(log_q)) * y_mask
    z_p = model.flow(z, y_mask, speaker)
    score, path = _path(z_p, mean, log_std, x_mask, y_mask)
    durations = path.sum(2)[:, None]
    predictor = model.duration_predictor
    length_loss = _duration_loss(predictor, hidden, x_mask, durations, draws.duration, speaker)
    size, hop = settings.segment_frames, settings.mel.hop
    fake = model.decoder(_cut(z, draws.starts, size), speaker)
    return {
        "x_mask": x_mask,
        "z_mask": y_mask,
        "enc_hidden": hidden,
        "prior_mean_text": mean,
        "prior_logstd_text": log_std,
        "m_q": mean_q,
        "logs_q": log_q,
        "z": z,
        "z_p": z_p,
        "neg_cent": score,
        "attn": path.transpose(1, 2)[:, None],
        "durations": durations,
        "l_length": length_loss,
        "m_p": mean @ path,
        "logs_p": log_std @ path,
        "y_hat": fake,
        "y_slice": _cut(recording.waveform, draws.starts * hop, size * hop),
        "y_mel": _cut(mel_of_linear(recording.spectrogram, settings.mel), draws.starts, size),
        "y_hat_mel": log_mel(fake[:, 0], settings.mel),
    }


def published_discriminators_loss(real: Any, fake: Any) -> Tensor:
    """What the discriminators learn by."""
    pairs = zip(real.scores, fake.scores, strict=True)
    return torch.stack([(1 - r).square().mean() + f.square().mean() for r, f in pairs]).sum()


def published_losses(made: dict[str, Tensor], real: Any, fake: Any) -> dict[str, Tensor]:
    """What the generator learns by, weighted, by the names that stored bundles give the losses."""
    apart = 0.5 * (made["z_p"] - made["m_p"]).square() * torch.exp(-2 * made["logs_p"])
    apart = made["logs_p"] - made["logs_q"] - 0.5 + apart
    feature = torch.zeros(())
    for maps_r, maps_f in zip(real.features, fake.features, strict=True):
        for r, f in zip(maps_r, maps_f, strict=True):
            feature = feature + 2 * (r.detach() - f).abs().mean()
    return {
        "loss_mel": 45 * functional.l1_loss(made["y_mel"], made["y_hat_mel"]),
        "loss_kl": (apart * made["z_mask"]).sum() / made["z_mask"].sum(),
        "loss_dur": made["l_length"].sum(),
        "loss_fm": feature,
        "loss_gen": torch.stack([(1 - f).square().mean() for f in fake.scores]).sum(),
    }


def published_step(
    model: Any, discriminators: Any, recording: Recording, draws: Draws, settings: Any
) -> Iterator[tuple[Tensor, str]]:
    """Yields the discriminator's loss and, once that was stepped, the generator's."""
    made = published_pass(model, recording, draws, settings)
    yield (
        published_discriminators_loss(
            discriminators(made["y_slice"]), discriminators(made["y_hat"].detach())
        ),
        "discriminator",
    )
    losses = published_losses(made, discriminators(made["y_slice"]), discriminators(made["y_hat"]))
    yield torch.stack(list(losses.values())).sum(), "generator"


def _cut(values: Tensor, starts: Tensor, size: int) -> Tensor:
    rows = zip(values, starts.tolist(), strict=True)
    return torch.stack([row[:, start : start + size] for row, start in rows])


@torch.no_grad()
def _path(
    z_p: Tensor, mean: Tensor, log_std: Tensor, x_mask: Tensor, y_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Score (B, L, N) and path (B, N, L), 1 on the path."""
    precision = torch.exp(-2 * log_std)
    score = (-0.5 * math.log(2 * math.pi) - log_std).sum(1)[..., None]
    score = score + precision.transpose(1, 2) @ (-0.5 * z_p.square())
    score = score + (mean * precision).transpose(1, 2) @ z_p
    score = score + (-0.5 * mean.square() * precision).sum(1)[..., None]
    mask = x_mask.transpose(1, 2) * y_mask
    if maximum_path is not None:
        return score.transpose(1, 2), maximum_path(score.contiguous(), mask)
    lengths = x_mask.sum(2)[:, 0].long().numpy(), y_mask.sum(2)[:, 0].long().numpy()
    ends = torch.from_numpy(monotonic_durations(score.numpy(), *lengths)).cumsum(1)
    places = torch.arange(z_p.shape[2])
    begun = functional.pad(ends, (1, 0))[:, :-1]
    inside = (places >= begun[..., None]) & (places < ends[..., None])
    return score.transpose(1, 2), inside.float() * mask


def _duration_loss(
    dp: Any, hidden: Tensor, mask: Tensor, durations: Tensor, noise: Any, speaker: Tensor | None
) -> Tensor:
    """The published likelihood of the stochastic predictor, by transformers' layers."""
    condition = dp.conv_pre(hidden.detach())
    if speaker is not None:
        condition = condition + dp.cond(speaker.detach())
    condition = dp.conv_proj(dp.conv_dds(condition, mask)) * mask
    given = dp.post_conv_proj(dp.post_conv_dds(dp.post_conv_pre(durations), mask)) * mask
    drawn = noise * mask
    latent, det_q = _through(dp.post_flows, drawn, mask, condition + given)
    raw, second = latent.chunk(2, dim=1)
    first = (durations - torch.sigmoid(raw) * mask) * mask
    det_q = det_q + ((functional.logsigmoid(raw) + functional.logsigmoid(-raw)) * mask).sum((1, 2))
    log_q = (-0.5 * (math.log(2 * math.pi) + drawn.square()) * mask).sum((1, 2)) - det_q
    first = torch.log(first.clamp(min=1e-5)) * mask
    latent, det = _through(dp.flows, torch.cat([first, second], dim=1), mask, condition)
    nll = (0.5 * (math.log(2 * math.pi) + latent.square()) * mask).sum((1, 2)) - det + first.sum((1, 2))
    return (nll + log_q) / mask.sum()


def _through(flows: Any, latent: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
    latent, total = flows[0](latent, mask)
    for flow in flows[1:]:
        kept, changed = latent.chunk(2, dim=1)
        shape = flow.conv_proj(flow.conv_dds(flow.conv_pre(kept), mask, condition)) * mask
        batch, _, length = kept.shape
        shape = shape.reshape(batch, 1, -1, length).permute(0, 1, 3, 2)
        bins, scale = flow.num_bins, math.sqrt(flow.filter_channels)
        changed, slope = spline(
            changed,
            shape[..., :bins] / scale,
            shape[..., bins : 2 * bins] / scale,
            shape[..., 2 * bins :],
            tail=flow.tail_bound,
        )
        latent = torch.flip(torch.cat([kept, changed], dim=1) * mask, [1])
        total = total + (slope * mask).sum((1, 2))
    return latent, total
