"""Another clip of its speaker, heard beside an utterance: what a backend hears of a clip, and which clip it is.

Which one is a pure function of (seed, epoch, utterance), so a resumed run hears what an undisturbed one would.
Validation hears the same clip every time: one of the training's where the speaker is there.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from amtts_core.data.features import Recipe
from amtts_core.storage.feature_store import Computed, FeatureStore, as_stored, stored_in

logger = logging.getLogger(__name__)
Clip = dict[str, np.ndarray]
"""What is heard of a clip: name -> (L, C)."""


@dataclass(frozen=True)
class Condenser:
    """What a clip comes to as long as training does not change how it is heard.

    Attributes:
        key: changes whenever the result would.
        make: of one clip.
    """

    key: str
    make: Callable[[Clip], Clip]


@runtime_checkable
class HearsClips(Protocol):
    """A backend that hears another clip of the speaker beside an utterance, as `Example.prompt`."""

    @classmethod
    def clip_recipe(cls, config: Any) -> Recipe | None:
        """What is heard of a clip; None where these settings hear none."""
        ...

    def condenser(self) -> Condenser | None:
        """The rest of what is done to a clip before training; None where training changes it.

        Raises:
            AmttsError: the clips are heard by another model than the one that the network has learnt to hear with.
        """
        ...

    def remember(self, clips: Iterable[tuple[str, Clip]]) -> None:
        """Takes in (speaker, condensed clip) of the training, so that it speaks as them without hearing a clip."""
        ...


@dataclass(eq=False)
class Clips:
    """The clips of a dataset; utterance i is clip i.

    Attributes:
        store: what is heard of them.
        rows: where each stands in the store.
        speakers: name of each; no name is one speaker too.
        seed: of the draw.
        elsewhere: clips that are preferred where they have the speaker, the training's in validation.
    """

    store: FeatureStore
    rows: list[int]
    speakers: list[str]
    seed: int
    elsewhere: Clips | None = None

    @cached_property
    def _of_speaker(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for index, speaker in enumerate(self.speakers):
            found[speaker].append(index)
        return dict(found)

    def clip(self, index: int) -> Clip:
        """What is heard of one clip."""
        return self.store.get(self.rows[index])

    def partner(self, index: int, *, epoch: int) -> tuple[Clips, int]:
        """The clip that utterance `index` hears in an epoch: never itself where its speaker has another."""
        speaker = self.speakers[index]
        there = self.elsewhere._of_speaker.get(speaker, []) if self.elsewhere else []
        own = self._of_speaker[speaker]
        count = len(there) or len(own) - 1
        if not count:
            return self, index
        drawn = int(np.random.default_rng([self.seed, 11, epoch, index]).integers(count))
        if self.elsewhere and there:
            return self.elsewhere, there[drawn]
        return self, own[drawn] if own[drawn] < index else own[drawn + 1]  # `own` rises

    def heard_by(self, index: int, *, epoch: int) -> Clip:
        """What utterance `index` hears in an epoch."""
        clips, other = self.partner(index, epoch=epoch)
        return clips.clip(other)

    def alone(self) -> list[int]:
        """Utterances that hear themselves, because their speaker has no other clip."""
        known = self.elsewhere._of_speaker if self.elsewhere else {}
        own = self._of_speaker
        return [i for i, name in enumerate(self.speakers) if len(own[name]) == 1 and name not in known]

    def condense(self, condenser: Condenser, on_progress: Callable[[int], None] | None = None) -> None:
        """From now on clips are what the condenser makes of them, computed once and kept beside the store."""
        heard = self.store
        digest = hashlib.sha256(f"{heard.folder.name}|{condenser.key}".encode()).hexdigest()
        name = heard.folder.name.rpartition("-")[0]

        def all_clips() -> Iterator[Computed]:
            for row, key in enumerate(heard.ids):
                if row in heard.problems:
                    yield Computed(key, {}, heard.problems[row])
                else:
                    yield Computed(key, as_stored(condenser.make(heard.get(row))))

        folder = heard.folder.with_name(f"{name}-condensed-{digest[:16]}")
        self.store = stored_in(folder, all_clips, on_progress)
