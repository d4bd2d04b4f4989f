"""What one item of a batch speaks: it takes the ids chosen for its rows, tells what is fed and when it is over.

Knows ids and lengths; no network. N text tokens, P prefix rows, D channels, K codebooks, T frames.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from amtts_indextts2.codes import DelayedCodes, SemanticCodes
from amtts_indextts2.delay import from_grid
from amtts_indextts2.network import IndexTTS2Gpt


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One sentence to speak.

    Attributes:
        prefix: (P, D), see `IndexTTS2Gpt.prefix`; P is the same for all items of a batch.
        text: (N,) ids without marks.
        max_frames: the speech is ended there.
        min_frames: the speech does not end before.
        seed: of its draws.
    """

    prefix: Tensor
    text: Tensor
    max_frames: int
    min_frames: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Decoded:
    """What was spoken.

    Attributes:
        codes: (T, K) int64, K = 1 for the semantic head.
        ended: True where the network ended it, False where `max_frames` did.
    """

    codes: Tensor
    ended: bool


class Stream:
    """The codes of one item of a single stream.

    Attributes:
        fed: the id that the next row is fed.
        over: nothing follows.
    """

    def __init__(self, prompt: Prompt, stop: int) -> None:
        self.least, self._limit, self._stop = prompt.min_frames, prompt.max_frames, stop
        self._codes: list[int] = []
        self.fed = 0
        self.over = self._ended = False

    @property
    def whole(self) -> int:
        """Frames that will not change."""
        return len(self._codes)

    def twin(self) -> Self:
        """A copy that goes its own way."""
        other = copy.copy(self)
        other._codes = list(self._codes)
        return other

    def take(self, row: int, ids: int) -> None:
        """Takes the id that was chosen for a row."""
        self.fed = ids
        if not self.over:
            if ids == self._stop or row >= self._limit:  # it may still end by itself after its last frame
                self.over, self._ended = True, ids == self._stop
            else:
                self._codes.append(ids)

    def frames(self, begin: int, end: int) -> Tensor:
        """(T, 1) of the whole frames from `begin` to `end`."""
        return torch.tensor(self._codes[begin:end], dtype=torch.int64)[:, None]

    def decoded(self) -> Decoded:
        """What was spoken."""
        return Decoded(self.frames(0, self.whole), ended=self._ended)


class DelayedStream:
    """The rows of one item of delayed codebooks: book 0 ends the speech, then each book says what it says later.

    Attributes:
        fed: the K ids that the next row is fed: padding where a book is not speaking.
        over: nothing follows.
    """

    def __init__(self, prompt: Prompt, speech: DelayedCodes) -> None:
        self.least, self._limit = prompt.min_frames, prompt.max_frames
        self._delays, self._end = speech.config.all_delays, speech.config.cardinality
        self._rows: list[list[int]] = []
        self.fed: list[int] = []
        self._frames = -1
        self.over = self._ended = False

    @property
    def whole(self) -> int:
        """Frames of which every book has spoken."""
        spoken = max(0, len(self._rows) - max(self._delays))
        return min(spoken, self._frames) if self._frames >= 0 else spoken

    def twin(self) -> Self:
        """A copy that goes its own way."""
        other = copy.copy(self)
        other._rows = list(self._rows)
        return other

    def take(self, row: int, ids: list[int]) -> None:
        """Takes the K ids that were chosen for a row."""
        if self._frames < 0:
            self._ended = ids[0] == self._end
            if self._ended or row >= self._limit:
                self._frames = row
        begun, over = row, self._frames if self._frames >= 0 else row + 1
        fed = [
            code if delay <= begun < over + delay else self._end + 1
            for code, delay in zip(ids, self._delays, strict=True)
        ]
        if self._frames >= 0:
            fed[0] = self._end
        if not self.over:
            self._rows.append(fed)
            self.over = self._frames >= 0 and row + 1 >= self._frames + max(self._delays)
        self.fed = fed

    def frames(self, begin: int, end: int) -> Tensor:
        """(T, K) of the whole frames from `begin` to `end`."""
        grid = torch.tensor(self._rows[begin:], dtype=torch.int64).view(-1, len(self._delays))
        return from_grid(grid, self._delays, end - begin)

    def decoded(self) -> Decoded:
        """What was spoken."""
        return Decoded(self.frames(0, self._frames), ended=self._ended)


Voice = Stream | DelayedStream


def voice_of(prompt: Prompt, network: IndexTTS2Gpt) -> Voice:
    """What speaks the prompt with the network's head."""
    speech = network.speech
    if isinstance(speech, SemanticCodes):
        return Stream(prompt, speech.config.stop)
    return DelayedStream(prompt, speech)
