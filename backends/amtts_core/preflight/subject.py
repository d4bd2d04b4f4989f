"""What the checks of a backend work on, and how one of them ends: found, failed or skipped."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from amtts_core.config.sections import OptimConfig
from amtts_core.contract.backend import Backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import Batch, Example, PhaseLoss, SynthesisRequest
from amtts_core.training.optim import build_optimizer
from amtts_core.training.statistics import statistics_of
from amtts_core.units import Seconds


class CheckFailed(Exception):
    """A check did not hold; the message says what was found."""


class CheckSkipped(Exception):
    """A check does not apply or could not be made; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What a check that holds has found.

    Attributes:
        detail: in words.
        value: the number that it is about.
    """

    detail: str
    value: float | None = None


class Rebuild(Protocol):
    """Builds the backend once more with the same settings."""

    def __call__(self, *, tokenizer: TextTokenizer | None = None, speakers: Sequence[str] = ()) -> Backend:
        """A randomly initialized backend; None takes the tokenizer of before."""
        ...


@dataclass(frozen=True)
class Spoken:
    """A text and about how long it lasts."""

    tokens: list[int]
    seconds: Seconds


@dataclass
class Subject:
    """A backend, and utterances whose sound follows from their text. Checks leave the weights as they are.

    Attributes:
        backend: fresh, with the feature statistics of the examples, or of a checkpoint.
        examples: at least four, of different lengths.
        spoken: three texts, the second the shortest and the last the longest.
        optim: how it is trained in a check.
        steps: of that training.
        trained: the weights are those of a checkpoint.
        rebuild: None where the network is too large to be built twice.
        max_ratio: of the loss after and before the training.
        pace: shortest and longest speech of a text, as multiples of its length.
        enough_training: so many steps with this rate make speech whose text and length can be checked.
        history: loss of each step of the training, made by `learned`.
    """

    backend: Backend
    examples: list[Example]
    spoken: list[Spoken]
    optim: OptimConfig
    steps: int
    trained: bool = False
    rebuild: Rebuild | None = None
    max_ratio: float = 0.7
    enough_training: bool = True
    pace: tuple[float, float] = (0.5, 1.5)
    history: list[float] = field(default_factory=list)

    @cached_property
    def _learned(self) -> dict[str, Tensor]:
        torch.manual_seed(0)
        with self._kept_weights():
            self.history = overfit(self.backend, self.examples[:4], self.steps, self.optim)
            return copy.deepcopy(self.backend.network.state_dict())

    @contextmanager
    def learned(self) -> Iterator[Backend]:
        """The backend after a training on four examples, which is done once; a checkpoint's is as it is."""
        if self.trained:
            self.backend.network.eval()
            yield self.backend
            return
        after = self._learned
        with self._kept_weights():
            self.backend.network.load_state_dict(after)
            self.backend.network.eval()
            yield self.backend

    def overfit(self) -> list[float]:
        """The losses of the training of `learned`; a checkpoint's weights are trained for it, too."""
        if not self.history:
            _ = self._learned
        return self.history

    @contextmanager
    def _kept_weights(self) -> Iterator[None]:
        network = self.backend.network
        kept, training = copy.deepcopy(network.state_dict()), network.training
        try:
            yield
        finally:
            network.load_state_dict(kept)
            network.train(training)

    @contextmanager
    def scratch(self) -> Iterator[Backend]:
        """The backend, to be changed; afterwards its weights are those of before."""
        with self._kept_weights():
            yield self.backend

    def batch(self, examples: Sequence[Example]) -> Batch:
        """The collated batch where the network is."""
        device = self.backend.device
        return {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in self.backend.collate(list(examples)).items()
        }

    def losses(self, examples: Sequence[Example]) -> dict[str, PhaseLoss]:
        """The loss of each phase in evaluation mode."""
        self.backend.network.eval()
        with torch.no_grad():
            return {loss.phase: loss for loss in self.backend.learner().losses(self.batch(examples))}

    def speak(self, texts: Sequence[Spoken], **changes: Any) -> list[np.ndarray]:
        """Waveforms (T,) of some texts.

        Raises:
            CheckSkipped: the backend speaks no text.
        """
        self.needs_speech()
        requests = [dataclasses.replace(SynthesisRequest(tokens=text.tokens), **changes) for text in texts]
        self.backend.network.eval()
        return self.backend.synthesize(requests)

    def needs_text(self) -> TextTokenizer:
        """The tokenizer.

        Raises:
            CheckSkipped: the backend learns without text.
        """
        if self.backend.text_tokenizer is None:
            raise CheckSkipped("this backend learns without text")
        return self.backend.text_tokenizer

    def needs_speech(self) -> None:
        """Raises:
        CheckSkipped: the backend speaks no text.
        """
        self.needs_text()
        if not self.backend.spec.speaks:
            raise CheckSkipped("this backend has no text to speak")

    def needs_rebuild(self) -> Rebuild:
        """Builds it once more.

        Raises:
            CheckSkipped: it is too large for that.
        """
        if self.rebuild is None:
            raise CheckSkipped("the network is too large to be built twice")
        return self.rebuild


def require(holds: bool, message: str) -> None:
    """Raises:
    CheckFailed: it does not hold.
    """
    if not holds:
        raise CheckFailed(message)


def overfit(backend: Backend, examples: Sequence[Example], steps: int, optim: OptimConfig) -> list[float]:
    """Trains on one batch with the backend's own learner; returns the last phase's loss of every step."""
    learner = backend.learner()
    optimizers = {phase: build_optimizer(learner.parameters(phase), optim) for phase in learner.phases}
    batch = {
        name: value.to(backend.device) if isinstance(value, Tensor) else value
        for name, value in backend.collate(list(examples)).items()
    }
    history: list[float] = []
    backend.network.train()
    for _ in range(steps):
        with statistics_of(learner, backend.spec):
            for loss in learner.losses(batch):
                parameters = learner.parameters(loss.phase)
                optimizers[loss.phase].zero_grad(set_to_none=True)
                loss.total.backward(inputs=parameters)
                torch.nn.utils.clip_grad_norm_(parameters, optim.clip_norm or math.inf)
                optimizers[loss.phase].step()
        history.append(float(loss.total.detach()))
    backend.network.eval()
    return history


LATER = (
    "needs a network that has learned to speak: a checkpoint, or the contract suite, which trains a small one"
)
CheckFunction = Callable[[Subject], Finding]
