"""The training view of DAC: the discriminators' phase, then the codec's against the updated discriminators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from amtts_codecs.dac.config import SAMPLE_RATE, DacSettings
from amtts_codecs.dac.network import CodecPass, DacNetwork, Passed
from amtts_core.audio.mel import MelConfig, log_mel, mel_filters
from amtts_core.contract.learner import AllReduce
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.discriminators import adversarial_loss, discriminator_loss, feature_loss, frozen

EVALUATED_SEGMENTS = 4
"""Length of what validation judges of each utterance, from its middle, in training segments."""
MEL_FLOOR = 1e-5


class DacLearner:
    """Phases `discriminator`, `generator`; without discriminators `generator` alone. The codec runs once a batch."""

    def __init__(self, network: DacNetwork, settings: DacSettings) -> None:
        self._network = network
        self._settings = settings
        self.modules: dict[str, nn.Module] = {"generator": CodecPass(network.codec, network.usage)}
        if network.discriminator is not None:
            self.modules["discriminator"] = network.discriminator
        self.phases: tuple[str, ...] = ("discriminator", "generator")[-len(self.modules) :]

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """Trainable parameters of one of the two networks."""
        network = self._network.codec if phase == "generator" else self._network.discriminator
        assert network is not None
        return [p for p in network.parameters() if p.requires_grad]

    def begin_step(self) -> None:
        """The codebooks' use is watched from nothing."""
        self._network.usage.begin_step()

    def end_step(self, all_reduce: AllReduce) -> None:
        """Entries out of use restart."""
        quantizers: Any = self._network.codec.quantizer.quantizers
        self._network.usage.end_step(all_reduce, [quantizer.codebook.weight for quantizer in quantizers])

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the discriminators' loss on detached audio, then, after their step, the codec's."""
        real = self._stretches(batch["waveform"], batch["lengths"])
        passed: Passed = self.modules["generator"](real, self._kept(real))
        real = real[..., : passed.audio.shape[-1]]
        discriminators, weights = self._network.discriminator, self._settings.loss
        terms: dict[str, Tensor] = {}
        total = passed.audio.new_zeros(())
        if discriminators is not None:
            outputs = self.modules["discriminator"](torch.cat([real, passed.audio.detach()]))
            loss = discriminator_loss(*outputs.halves())
            yield PhaseLoss(phase="discriminator", total=loss, terms={"loss": loss.detach()})
            with torch.no_grad():
                of_real = discriminators(real)
            with frozen(discriminators):
                of_fake = discriminators(passed.audio)
            terms["adversarial"] = adversarial_loss(of_fake)
            terms["feature"] = feature_loss(of_real, of_fake)
            total = weights.adversarial * terms["adversarial"] + weights.feature * terms["feature"]
        terms["mel"] = mel_distance(real[:, 0], passed.audio[:, 0], weights.windows, weights.n_mels)
        terms["commitment"], terms["codebook"] = passed.commitment, passed.codebook
        total = total + weights.mel * terms["mel"]
        total = total + weights.commitment * passed.commitment + weights.codebook * passed.codebook
        if self._network.training:
            terms["entries_in_use"] = self._network.usage.perplexity()
        yield PhaseLoss(phase="generator", total=total, terms={k: v.detach() for k, v in terms.items()})

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Mel of the batch's first utterance and of what the codec makes of it, each (M, L), low rows first."""
        hop = self._settings.hop
        length = max(hop, int(batch["lengths"][0]) // hop * hop)
        whole = batch["waveform"][:1, None, :length]
        num_codebooks = torch.full((1,), self._settings.num_codebooks, device=whole.device)
        made = self.modules["generator"](whole, num_codebooks).audio
        shown = MelConfig(sample_rate=SAMPLE_RATE)
        return {
            "mel/recorded": log_mel(whole[:, 0], shown)[0],
            "mel/rebuilt": log_mel(made[:, 0].float(), shown)[0],
        }

    def _stretches(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) -> (B, 1, S): in training a random stretch of each item, else its middle; short ones end in zeros."""
        training = self._network.training
        size = self._settings.segment * (1 if training else EVALUATED_SEGMENTS)
        room = (lengths - size).clamp(min=0)
        if training:
            starts = (torch.rand(len(lengths), device=lengths.device) * (room + 1)).long()
        else:
            starts = room // 2
        index = starts[:, None] + torch.arange(size, device=waveform.device)
        cut = waveform.gather(1, index.clamp(max=waveform.shape[1] - 1))
        return (cut * (index < lengths[:, None]))[:, None]

    def _kept(self, waveform: Tensor) -> Tensor:
        """(B,) codebooks of each item: all, or a random number for a share of the batch in training."""
        num_codebooks, items = self._settings.num_codebooks, len(waveform)
        kept = torch.full((items,), num_codebooks, device=waveform.device)
        if self._network.training:
            fewer = int(items * self._settings.quantizer_dropout)
            kept[:fewer] = torch.randint(1, num_codebooks + 1, (fewer,), device=waveform.device)
        return kept


def mel_distance(real: Tensor, fake: Tensor, windows: tuple[int, ...], n_mels: tuple[int, ...]) -> Tensor:
    """Mean absolute difference of log10 mels (floor 1e-5), summed over windows with hops of a quarter; ().

    Source: `MelSpectrogramLoss` of descript-audio-codec (Kumar et al. 2023, section 3.4), power 1.

    Args:
        real: (B, T) in [-1, 1].
        fake: (B, T).
        windows: samples.
        n_mels: channels of each window.
    """
    distances = []
    for window, channels in zip(windows, n_mels, strict=True):
        config = MelConfig(
            sample_rate=SAMPLE_RATE, n_fft=window, hop=window // 4, n_mels=channels, fmax=SAMPLE_RATE / 2
        )
        filters = mel_filters(config).to(real.device)
        shape = torch.hann_window(window, device=real.device)
        both = torch.cat([real, fake]).float()
        spectrum = torch.stft(both, window, window // 4, window, shape, center=True, return_complex=True)
        mels = (filters @ spectrum.abs()).clamp(min=MEL_FLOOR).log10()
        distances.append((mels[: len(real)] - mels[len(real) :]).abs().mean())
    return torch.stack(distances).sum()
