"""Reference audio in training: which other utterance of the speaker is the prompt of an utterance.

The choice is a pure function of (seed, epoch, utterance), so a resumed run uses the prompts of an undisturbed one.
Validation uses the same prompt every time: one of the training set's where the speaker is there.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from amtts_core.contract.reference_audio import PromptEncoder, PromptFeatures
from amtts_core.storage.feature_store import Computed, FeatureStore, as_stored, stored_in

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class PromptSet:
    """Prompt features of a dataset; utterance i has prompt i.

    Attributes:
        store: their features.
        rows: index of each in the store.
        speakers: speaker of each; no name is one speaker too.
        seed: of the choice.
        preferred: prompts to choose from where they have the speaker (the training set's, in validation).
    """

    store: FeatureStore
    rows: list[int]
    speakers: list[str]
    seed: int
    preferred: PromptSet | None = None

    @cached_property
    def _of_speaker(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for index, speaker in enumerate(self.speakers):
            found[speaker].append(index)
        return dict(found)

    def features(self, index: int) -> PromptFeatures:
        """Features of prompt `index`."""
        return self.store.get(self.rows[index])

    def partner(self, index: int, *, epoch: int) -> tuple[PromptSet, int]:
        """The prompt of utterance `index` in an epoch: never itself where its speaker has another utterance."""
        speaker = self.speakers[index]
        there = self.preferred._of_speaker.get(speaker, []) if self.preferred else []
        own = self._of_speaker[speaker]
        count = len(there) or len(own) - 1
        if not count:
            return self, index
        drawn = int(np.random.default_rng([self.seed, 11, epoch, index]).integers(count))
        if self.preferred and there:
            return self.preferred, there[drawn]
        return self, own[drawn] if own[drawn] < index else own[drawn + 1]  # `own` rises

    def prompt_for(self, index: int, *, epoch: int) -> PromptFeatures:
        """Features of the prompt of utterance `index` in an epoch."""
        prompts, other = self.partner(index, epoch=epoch)
        return prompts.features(other)

    def without_partner(self) -> list[int]:
        """Utterances that are their own prompt, because their speaker has no other."""
        known = self.preferred._of_speaker if self.preferred else {}
        own = self._of_speaker
        return [i for i, name in enumerate(self.speakers) if len(own[name]) == 1 and name not in known]

    def encode(self, encoder: PromptEncoder, on_progress: Callable[[int], None] | None = None) -> None:
        """Replaces the features by what `encoder` makes of them, computed once and kept beside the store."""
        source = self.store
        digest = hashlib.sha256(f"{source.folder.name}|{encoder.key}".encode()).hexdigest()
        name = source.folder.name.rpartition("-")[0]

        def encoded() -> Iterator[Computed]:
            for row, key in enumerate(source.ids):
                if row in source.problems:
                    yield Computed(key, {}, source.problems[row])
                else:
                    yield Computed(key, as_stored(encoder.encode(source.get(row))))

        folder = source.folder.with_name(f"{name}-encoded-{digest[:16]}")
        self.store = stored_in(folder, encoded, on_progress)
