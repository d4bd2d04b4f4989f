"""Old data mixed into a training, against forgetting.

Every epoch has all new utterances and so many old ones that they are the wanted share. Which ones is a pure function of
(seed, epoch): the old data is gone through in shuffled order, epoch after epoch, so that none comes twice before all
came once, and a resumed run continues where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.config.sections import ReplayConfig
from amtts_core.contract.types import Example
from amtts_core.corpus.corpus import corpus_speakers
from amtts_core.data.dataset import Excluded, SpeechDataset

PREFIX = "replay/"
"""Prefix of the ids of old utterances, which may be those of new ones too."""


class ReplayDraw:
    """Which utterances an epoch has: numbers below `new` are new ones, from there on old ones.

    Args:
        new: new utterances; every epoch has all.
        old: old ones.
        ratio: share of an epoch that is old, 0 up to less than 1.
        seed: of the order.
    """

    def __init__(self, new: int, old: int, *, ratio: float, seed: int) -> None:
        self._new, self._old, self._seed = new, old, seed
        self.count = round(new * ratio / (1 - ratio)) if old else 0
        """Old utterances of an epoch."""

    def __call__(self, epoch: int) -> np.ndarray:
        """Numbers of the utterances of an epoch, (N,)."""
        if not self.count:
            return np.arange(self._new)
        start = epoch * self.count
        rounds = range(start // self._old, (start + self.count - 1) // self._old + 1)
        drawn = np.concatenate(
            [np.random.default_rng([self._seed, 7, n]).permutation(self._old) for n in rounds]
        )
        begin = start - rounds[0] * self._old
        return np.concatenate([np.arange(self._new), self._new + drawn[begin : begin + self.count]])


@dataclass
class MixedDataset(SpeechDataset):
    """New utterances, then old ones under ids that begin with `replay/`; statistics are those of the new ones."""

    new: SpeechDataset = field(kw_only=True)
    old: SpeechDataset = field(kw_only=True)
    ratio: float = field(kw_only=True)

    @classmethod
    def of(cls, new: SpeechDataset, old: SpeechDataset, *, ratio: float) -> MixedDataset:
        """Both together."""
        renamed = [u.model_copy(update={"id": f"{PREFIX}{u.id}"}) for u in old.utterances]
        left_out = [Excluded(f"{PREFIX}{row.id}", row.reason) for row in old.excluded]
        return cls(
            backend=new.backend,
            utterances=[*new.utterances, *renamed],
            tokens=[*new.tokens, *old.tokens],
            rows=[*new.rows, *old.rows],
            store=new.store,
            excluded=[*new.excluded, *left_out],
            new=new,
            old=old,
            ratio=ratio,
        )

    def draw(self, seed: int) -> ReplayDraw:
        """Which of them an epoch has."""
        return ReplayDraw(len(self.new), len(self.old), ratio=self.ratio, seed=seed)

    def frames(self) -> list[int]:
        """The batching cost of every utterance."""
        return [*self.new.frames(), *self.old.frames()]

    def example(self, index: int, *, epoch: int = 0) -> Example:
        """One utterance with its features; its reference audio is of the same part."""
        if index < len(self.new):
            return self.new.example(index, epoch=epoch)
        return replace(self.old.example(index - len(self.new), epoch=epoch), id=self.utterances[index].id)

    def statistics(self) -> dict[str, Any]:
        """Of the new utterances."""
        return self.new.statistics()


def speakers_of(manifest: Path, replay: ReplayConfig) -> list[str]:
    """Speaker names of a corpus and of what is mixed in, sorted. Bad lines are `load_dataset`'s to judge."""
    found = set(corpus_speakers(manifest, bad_lines=[]))
    if replay.data and replay.ratio:
        found |= set(corpus_speakers(Path(replay.data) / manifest.name, bad_lines=[]))
    return sorted(found)
