"""The training view of the vocoder: one phase, or two with discriminators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amtts_core.audio.mel import log_mel
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.discriminators import adversarial_loss, discriminator_loss, feature_loss, frozen
from amtts_vocoders.neural.config import VocoderConfig
from amtts_vocoders.neural.discriminators import Discriminators
from amtts_vocoders.neural.losses import phase_error, pitch_loss, spectral_energy_distance
from amtts_vocoders.neural.network import Pitch, VocoderNetwork
from amtts_vocoders.neural.source import NOISE_SAMPLES, cycles_of, upsampled

EVALUATED_SEGMENTS = 3
"""Length of what validation judges of each utterance, in training segments."""


@dataclass(frozen=True)
class Made:
    """One pass in training: two outputs (B, T), the second with other noise, the harmonics (B, L, K), the pitch."""

    first: Tensor
    second: Tensor | None
    harmonic: Tensor
    pitch: Pitch


class TrainableVocoder(nn.Module):
    """What a checkpoint of training holds: `speaker`, the network that speaks, and `discriminators` or none."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.speaker = VocoderNetwork(config)
        self.discriminators = Discriminators(config.discriminators) if config.adversarial else None


class VocoderPass(nn.Module):
    """The network's forward in training; a module of its own so that it can be wrapped for several processes."""

    def __init__(self, speaker: VocoderNetwork) -> None:
        super().__init__()
        self.speaker = speaker

    def forward(
        self, mel: Tensor, waveform: Tensor, hertz: Tensor, voicing: Tensor, given: Tensor, *, twice: bool
    ) -> Made:
        """Speaks a batch.

        Args:
            mel: (B, L, M) natural log.
            waveform: (B, T) recording, whose fundamental gives the phase where the pitch is given.
            hertz: (B, L) measured pitch.
            voicing: (B, L) confidence.
            given: (B,) True where the measured pitch is used, False where the predicted one is.
            twice: make a second output with other noise.
        """
        speaker, config = self.speaker, self.speaker.config
        hop, rate = config.mel.hop, config.mel.sample_rate
        pitch = speaker.pitch(speaker.normalized(mel))
        with torch.no_grad():
            own_hertz, own_voicing = speaker.pitch.decode(pitch)
            hertz = torch.where(given[:, None], hertz, own_hertz)
            voicing = torch.where(given[:, None], voicing, own_voicing)
            begin = torch.zeros(len(mel), device=mel.device, dtype=torch.float64)
            if speaker.training:
                begin = torch.rand_like(begin)
            cycles = cycles_of(hertz, hop=hop, rate=rate, start=begin)
            locked = cycles + upsampled(self._fundamental_phase(waveform, cycles), hop) / (2 * torch.pi)
            cycles = torch.where(given[:, None], locked, cycles)
            train = speaker.pulses(hertz, cycles)
            starts = torch.arange(1 + twice, device=mel.device)[:, None] * (NOISE_SAMPLES // 2)
            starts = starts.expand(-1, len(mel))
            if speaker.training:
                starts = torch.randint(NOISE_SAMPLES, starts.shape, device=mel.device)
            noises = [speaker.noise(start, mel.shape[1]) for start in starts]
        filters = speaker.filters(mel, hertz, voicing, train)
        harmonic = speaker.harmonics(train, filters)
        waves = speaker.spectrum.inverse(torch.cat([harmonic + speaker.hiss(one, filters) for one in noises]))
        mels = torch.cat([mel] * len(noises))
        waves = speaker.project(waves, mels, times=config.training_projections)
        first, *others = waves.chunk(len(noises))
        return Made(first, others[0] if others else None, harmonic, pitch)

    def _fundamental_phase(self, waveform: Tensor, cycles: Tensor) -> Tensor:
        """Phase (B, L) of the recording's fundamental against `cycles` (B, T), radians, without jumps."""
        spectrum = self.speaker.spectrum
        turn = (-2 * torch.pi * (cycles % 1)).float()
        turned = torch.polar(waveform, turn)
        parts = torch.nn.functional.pad(torch.view_as_real(turned).mT, (spectrum.margin, spectrum.margin))
        seen = parts.unfold(2, spectrum.size, spectrum.hop) @ spectrum.window  # (B, 2, L)
        angle = torch.atan2(seen[:, 1], seen[:, 0])
        step = angle.diff(dim=1)
        step = step - 2 * torch.pi * (step / (2 * torch.pi)).round()
        return torch.cat([angle[:, :1], angle[:, :1] + step.cumsum(1)], dim=1).double()


class VocoderLearner:
    """Phases `discriminator`, `generator`; without discriminators `generator` alone."""

    def __init__(self, network: TrainableVocoder, config: VocoderConfig) -> None:
        self._network, self._config = network, config
        self.modules: dict[str, nn.Module] = {"generator": VocoderPass(network.speaker)}
        if network.discriminators is not None:
            self.modules["discriminator"] = network.discriminators
        self.phases: tuple[str, ...] = ("discriminator", "generator")[-len(self.modules) :]

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """Trainable parameters of one of the two networks."""
        network = self._network.speaker if phase == "generator" else self._network.discriminators
        assert network is not None
        return [p for p in network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the discriminators' loss on detached outputs, then, after their step, the generator's."""
        config, weights = self._config, self._config.loss
        real, hertz, confidence, predicted = self._stretches(batch)
        voiced = (confidence > 0.5).float()
        own = log_mel(real, config.mel).mT
        mel = own if predicted is None else predicted
        share = config.predicted_pitch if self._network.training else 1.0
        given = torch.rand(len(real), device=real.device) >= share
        twice = weights.repulsion > 0
        made: Made = self.modules["generator"](mel, real, hertz, confidence, given, twice=twice)
        terms: dict[str, Tensor] = {}
        total = real.new_zeros(())
        discriminators = self._network.discriminators
        if discriminators is not None:
            fake = made.first
            loss = discriminator_loss(
                *self.modules["discriminator"](torch.cat([real, fake.detach()])).halves()
            )
            yield PhaseLoss(phase="discriminator", total=loss, terms={"loss": loss.detach()})
            with torch.no_grad():
                of_real = discriminators(real)
            with frozen(discriminators):
                of_fake = discriminators(fake)
            terms["adversarial"] = adversarial_loss(of_fake)
            terms["feature"] = feature_loss(of_real, of_fake)
            total = weights.adversarial * terms["adversarial"] + weights.feature * terms["feature"]
        terms["spectrum"] = spectral_energy_distance(
            real, made.first, made.second, windows=weights.windows, repulsion=weights.repulsion
        )
        terms["mel"] = (log_mel(made.first, config.mel).mT - own).abs().mean()
        terms["pitch"] = pitch_loss(
            made.pitch.logits, self._network.speaker.pitch.target(hertz), made.pitch.voicing, confidence
        )
        total = total + terms["spectrum"] + weights.mel * terms["mel"] + weights.pitch * terms["pitch"]
        if weights.phase and bool(given.any()):
            seen = self._network.speaker.spectrum(real[given])
            terms["phase"] = phase_error(seen, made.harmonic[given], voiced[given])
            total = total + weights.phase * terms["phase"] * given.float().mean()
        with torch.no_grad():
            off = (self._network.speaker.pitch.decode(made.pitch)[0] / hertz).log2().abs() > 0.5 / 12
            terms["pitch_errors"] = (off.float() * voiced).sum() / voiced.sum().clamp(min=1)
        yield PhaseLoss(phase="generator", total=total, terms={k: v.detach() for k, v in terms.items()})

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Mel of the batch's first utterance and of what the network makes of it, each (M, L), low rows first."""
        hop, config = self._config.mel.hop, self._config
        length = int(batch["lengths"][0]) // hop * hop
        mel = log_mel(batch["waveform"][:1, :length], config.mel)
        given = batch["mel"][:1, : length // hop] if "mel" in batch else mel.mT
        made = self._network.speaker(given)
        return {"mel/recorded": mel[0], "mel/vocoded": log_mel(made, config.mel)[0]}

    def _stretches(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Samples (B, S), pitch (B, F), confidence (B, F) and a predicted mel (B, F, M) or none.

        Random stretches in training, else from the middle.
        """
        training, hop = self._network.training, self._config.mel.hop
        waveform, frames = batch["waveform"], batch["frames"]
        size = self._config.segment * (1 if training else EVALUATED_SEGMENTS)
        room = (frames - size).clamp(min=0)
        if training:
            starts = (torch.rand(len(frames), device=frames.device) * (room + 1)).long()
        else:
            starts = room // 2
        index = starts[:, None] + torch.arange(size, device=frames.device)
        inside = (index < frames[:, None]).float()
        last = index.clamp(max=batch["pitch"].shape[1] - 1)
        samples = (starts * hop)[:, None] + torch.arange(size * hop, device=frames.device)
        cut = waveform.gather(1, samples.clamp(max=waveform.shape[1] - 1))
        cut = cut * inside.repeat_interleave(hop, dim=1)
        mel: Tensor | None = batch.get("mel")
        if mel is not None:
            mel = mel.gather(1, last[..., None].expand(-1, -1, mel.shape[2]))
        if training and self._config.gain:
            level = (torch.rand(len(cut), 1, device=cut.device) * 2 - 1) * self._config.gain
            level = 10 ** (level / 20) / (cut.abs().amax(1, keepdim=True) * 10 ** (level / 20)).clamp(min=1.0)
            cut = cut * level
            mel = None if mel is None else mel + level.log()[..., None]
        hertz = batch["pitch"].gather(1, last).clamp(min=self._config.pitch.low)
        return cut, hertz, batch["voicing"].gather(1, last) * inside, mel
