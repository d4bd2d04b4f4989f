"""Speaks fixed sentences during training, so that a person can hear the progress."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.audio.save import write_audio
from amtts_core.errors import AmttsError
from amtts_core.synthesis.engine import Speech, Synthesizer
from amtts_core.text.normalize import Normalizer
from amtts_core.training.callbacks.base import Callback, Outcome, StepReport
from amtts_core.training.figures import save_picture

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.training.trainer import Trainer

logger = logging.getLogger(__name__)


class SampleSpeaker(Callback):
    """Writes `samples/step-NNNNNNNN-K.wav` every `sample_every` steps and at the end, with figures beside it."""

    def __init__(self, normalizer: Normalizer) -> None:
        self._normalizer = normalizer
        self._trainer: Trainer | None = None
        self._spoken = -1

    def started(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._spoken = trainer.step

    def stepped(self, report: StepReport) -> None:
        assert self._trainer is not None
        every = self._trainer.config.sample_every
        if every and report.step % every == 0:
            self._speak(report.step)

    def finished(self, outcome: Outcome) -> None:
        assert self._trainer is not None
        if self._trainer.config.sample_every and outcome.step != self._spoken:
            self._speak(outcome.step)

    def _speak(self, step: int) -> None:
        trainer = self._trainer
        assert trainer is not None
        self._spoken = step
        with torch.random.fork_rng(), trainer.as_spoken() as backend:
            synthesizer = Synthesizer(backend, self._normalizer)
            for index, text in enumerate(trainer.config.sample_texts):
                self._speak_one(synthesizer, trainer, step, index, text)

    def _speak_one(
        self, synthesizer: Synthesizer, trainer: Trainer, step: int, index: int, text: str
    ) -> None:
        try:
            speech = synthesizer.speak(text)
        except AmttsError as fault:  # a sentence the tokenizer cannot read must not end a night's training
            logger.warning("training.sample_texts[%d] cannot be spoken: %s", index, fault)
            return
        path = trainer.run / "samples" / f"step-{step:08d}-{index}.wav"
        write_audio(path, speech.waveform, speech.sample_rate)
        figures = pictures_of(synthesizer, text, speech)
        for name, picture in figures.items():
            scale = 1 if name == "mel" else 4  # there are few tokens and codes
            save_picture(path.with_name(f"{path.stem}-{name}.png"), picture, scale=scale)
        for callback in trainer.callbacks:
            callback.sampled(step, index, text, path, figures)


def pictures_of(synthesizer: Synthesizer, text: str, speech: Speech) -> dict[str, Tensor]:
    """What a spoken text looks like, as (H, W) matrices with time to the right.

    "mel" is its log-mel spectrogram. "alignment" is where speech looked in its text, one stretch after the other, for
    backends that look: it costs speaking the text once more.
    """
    config = MelConfig(sample_rate=speech.sample_rate, fmax=min(8000.0, speech.sample_rate / 2))
    waveform = torch.from_numpy(speech.waveform).float()
    waveform = torch.nn.functional.pad(waveform, (0, max(0, config.n_fft - len(waveform))))
    figures = {"mel": log_mel(waveform[None], config)[0]}
    if synthesizer.backend.spec.attention is not None:
        seen = [picture.float().cpu() for _, picture in synthesizer.attention(text)]
        figures["alignment"] = torch.block_diag(*seen)
    return figures
