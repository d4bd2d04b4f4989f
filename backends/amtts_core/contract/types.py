"""What the core and a backend hand each other: features, examples, batches, losses, requests.

Shapes: B utterances, T samples, N text tokens, L frames, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a backend learns from one utterance; computed once and stored.

    Attributes:
        arrays: name -> array (L, C) or (L,); lengths may differ between names.
    """

    arrays: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One utterance as `Backend.collate` receives it.

    Attributes:
        id: the manifest's id.
        tokens: text token ids, (N,).
        features: name -> array (L, C) or (L,), as `Backend.features` returned it.
        speaker: index of the speaker in the run's speaker table; 0 where there is one voice.
        prompt: features of the reference audio, see `amtts_core.data.prompts`; empty without reference audio.
    """

    id: str
    tokens: list[int]
    features: dict[str, np.ndarray]
    speaker: int = 0
    prompt: dict[str, np.ndarray] = field(default_factory=dict)


Batch = dict[str, Any]
"""Name -> tensor on the learner's device, plus `ids`, the list of utterance ids."""


class TrainingExamples(Protocol):
    """The training set, for a backend that sets part of its network from it."""

    def __len__(self) -> int: ...

    def example(self, index: int) -> Example:
        """One utterance with its features."""
        ...

    def statistics(self) -> dict[str, np.ndarray]:
        """`<feature>_mean` and `<feature>_std`, each (C,) float32, over the set."""
        ...


@dataclass(frozen=True, kw_only=True)
class PhaseLoss:
    """The loss of one optimizer: `total` is differentiated, `terms` are logged as they are."""

    phase: str
    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class SynthesisRequest:
    """One piece of speech to make.

    Attributes:
        tokens: text token ids, not empty.
        speed: 1.0 is the voice's own speaking rate, 2.0 twice as fast.
        seed: makes sampling reproducible; backends without sampling ignore it.
        speaker: index in the checkpoint's speaker table.
        pitch: semitones above (below, where negative) what the voice would speak at; see `PitchControl`.
        pitch_range: 1.0 is the voice's own contour, 0 a monotone, 2.0 twice the distance from its mean.
        final_rise: semitones that are added by the end of the last syllables; see `PitchControl`.
        notes: takes what the backend has to tell of this piece (tried again, cut off); None logs it.
    """

    tokens: Sequence[int]
    speed: float = 1.0
    seed: int = 0
    speaker: int = 0
    pitch: float = 0.0
    pitch_range: float = 1.0
    final_rise: float = 0.0
    notes: list[str] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class TextTensor:
    """One tensor of the network whose first axis is indexed by text-token ids.

    Attributes:
        tensor: its name in the network's state dict.
        kind: "embedding", "head" or "bias".
        num_extra_rows: rows at the end that belong to no token.
    """

    tensor: str
    kind: Literal["embedding", "head", "bias"]
    num_extra_rows: int = 0
