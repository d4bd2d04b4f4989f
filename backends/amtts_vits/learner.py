"""The training view of VITS: the discriminator's phase, then the generator's against the updated discriminator."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.discriminators import discriminator_loss, frozen
from amtts_vits.alignment import path_picture
from amtts_vits.config import VitsSettings
from amtts_vits.generator import Draws, Passed, Recording, TrainingPass
from amtts_vits.losses import generator_losses
from amtts_vits.network import VitsNetwork
from amtts_vits.spectrogram import log_mel, mel_of_linear


class VitsLearner:
    """Phases `discriminator`, `generator`; in simple mode `generator` alone. The generator runs once a batch.

    In evaluation mode everything random is fixed for each utterance, whatever it is batched with, so that two
    validations of the same weights agree.
    """

    def __init__(self, network: VitsNetwork, settings: VitsSettings) -> None:
        self._network = network
        self._settings = settings
        training_pass = TrainingPass(network.generator, settings.mel, segment_frames=settings.segment_frames)
        self.modules: dict[str, nn.Module] = {"generator": training_pass}
        if network.discriminator is not None:
            self.modules["discriminator"] = network.discriminator
        self.phases: tuple[str, ...] = ("discriminator", "generator")[-len(self.modules) :]
        self._pass = training_pass

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """Trainable parameters of one of the two networks."""
        network = self._network.generator if phase == "generator" else self._network.discriminator
        assert network is not None
        return [p for p in network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the discriminator's loss on a detached waveform, then, after its step, the generator's."""
        recording = recording_of(batch)
        passed: Passed = self.modules["generator"](recording, self._draws(recording))
        real = fake = None
        discriminators = self._network.discriminator
        if discriminators is not None:
            outputs = self.modules["discriminator"](torch.cat([passed.real, passed.fake.detach()]))
            loss = discriminator_loss(*outputs.halves())
            yield PhaseLoss(phase="discriminator", total=loss, terms={"loss": loss.detach()})
            with frozen(discriminators), parametrize.cached():  # weight norm once for both
                with torch.no_grad():
                    real = discriminators(passed.real)
                fake = discriminators(passed.fake)
        total, terms = generator_losses(passed, self._settings.mel, self._settings.loss, real=real, fake=fake)
        yield PhaseLoss(phase="generator", total=total, terms={k: v.detach() for k, v in terms.items()})

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Alignment, recorded and remade mel of the batch's first utterance, each (H, W), low rows first."""
        whole = recording_of(batch)
        symbols, frames = int(whole.token_lengths[0]), int(whole.frame_lengths[0])
        shown = max(frames, self._settings.segment_frames)
        one = Recording(
            tokens=whole.tokens[:1, :symbols],
            token_lengths=whole.token_lengths[:1],
            spectrogram=whole.spectrogram[:1, :, :shown],
            frame_lengths=whole.frame_lengths[:1],
            waveform=whole.waveform[:1, :, : shown * self._settings.mel.hop],
            speakers=None if whole.speakers is None else whole.speakers[:1],
        )
        passed = self._pass(one, self._draws(one))
        made = log_mel(passed.fake[:, 0], self._settings.mel)
        recorded = mel_of_linear(one.spectrogram[:, :, :frames], self._settings.mel)
        return {
            "alignment": path_picture(passed.durations[0], frames),
            "mel/recorded": recorded[0],
            "mel/stretch": torch.cat([passed.real_mel[0], made[0]]),
        }

    def _draws(self, recording: Recording) -> Draws:
        return self._pass.draws(recording, fixed=not self._network.generator.training)


def recording_of(batch: Batch) -> Recording:
    """The tensors of a collated batch."""
    return Recording(
        tokens=batch["tokens"],
        token_lengths=batch["token_lengths"],
        spectrogram=batch["spectrogram"],
        frame_lengths=batch["frame_lengths"],
        waveform=batch["waveform"],
        speakers=batch.get("speakers"),
    )
