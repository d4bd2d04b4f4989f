"""Synthesizes fixed sentences during training, so that a person can follow the progress by ear."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.audio.save import write_audio
from amtts_core.errors import AmttsError
from amtts_core.synthesis.engine import Speech, Synthesizer
from amtts_core.text.normalizer import Normalizer
from amtts_core.training.callbacks.base import Callback, StepReport, TrainingOutcome
from amtts_core.training.figures import save_picture
from amtts_core.training.run_state import RunState

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


class SampleSpeaker(Callback):
    """Writes `samples/step-NNNNNNNN-K.wav` every `sample_every` steps and at the end, with figures beside it.

    Args:
        normalizer: of the corpus.
        listeners: callbacks whose `sampled` is called.
    """

    def __init__(self, normalizer: Normalizer, *, listeners: Sequence[Callback] = ()) -> None:
        self._normalizer, self._listeners = normalizer, listeners
        self._state: RunState | None = None
        self._last_step = -1

    def started(self, state: RunState) -> None:
        self._state, self._last_step = state, state.step

    def stepped(self, report: StepReport) -> None:
        assert self._state is not None
        every = self._state.config.sample_every
        if every and report.step % every == 0:
            self._speak(self._state, report.step)

    def finished(self, outcome: TrainingOutcome) -> None:
        assert self._state is not None
        if self._state.config.sample_every and outcome.step != self._last_step:
            self._speak(self._state, outcome.step)

    def _speak(self, state: RunState, step: int) -> None:
        self._last_step = step
        with torch.random.fork_rng(), state.inference_weights() as backend:
            synthesizer = Synthesizer(backend, self._normalizer)
            for index, text in enumerate(state.config.sample_texts):
                self._speak_one(synthesizer, state.folder, step, index, text)

    def _speak_one(self, synthesizer: Synthesizer, run: Path, step: int, index: int, text: str) -> None:
        try:
            speech = synthesizer.speak(text)
        except AmttsError as fault:  # a sentence the tokenizer cannot read must not end a night's training
            logger.warning("training.sample_texts[%d] cannot be spoken: %s", index, fault)
            return
        path = run / "samples" / f"step-{step:08d}-{index}.wav"
        write_audio(path, speech.waveform, speech.sample_rate)
        figures = pictures_of(synthesizer, text, speech)
        for name, picture in figures.items():
            scale = 1 if name == "mel" else 4  # there are few tokens and codes
            save_picture(path.with_name(f"{path.stem}-{name}.png"), picture, scale=scale)
        for listener in self._listeners:
            listener.sampled(step, index, text, path, figures)


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
