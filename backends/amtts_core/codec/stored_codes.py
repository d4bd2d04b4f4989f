"""Codes of a corpus from a store of `amtts encode-codes` in place of features made from its audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.codec.store import CodeStore, stretch_of
from amtts_core.contract.backend import Backend
from amtts_core.corpus.manifest import Utterance
from amtts_core.errors import AmttsError


@dataclass(frozen=True)
class StoredCodes:
    """The utterances of a manifest in a code store; a `FeatureSource`.

    Attributes:
        store: opened.
        ids: of the manifest, in its order.
        problems: index of an utterance without codes -> why.
    """

    store: CodeStore
    ids: list[str]
    problems: dict[int, str]

    @classmethod
    def open(cls, folder: Path, backend: Backend[Any], utterances: Sequence[Utterance]) -> StoredCodes:
        """The codes of these utterances; their audio is not opened.

        Args:
            folder: as `amtts encode-codes --out` was given it.
            backend: that learns them; its settings name the codec.
            utterances: of a manifest.

        Raises:
            AmttsError: the backend learns no codes, or the store is not finished or of another codec.
        """
        if backend.spec.speech_codes is None:
            raise AmttsError(
                f"data.codes is {folder}, but backend '{backend.spec.name}' learns from {backend.spec.learns_from}",
                remedy="Leave --codes out",
            )
        store = CodeStore.open(folder, expect=backend.spec.speech_codes.of(backend).codec_identity())
        stamps = store.stamps()
        problems = {}
        for index, utterance in enumerate(utterances):
            why = store.problem(utterance.id)
            if not why and not stamps[utterance.id].endswith(f", {stretch_of(utterance)}"):
                why = (
                    f"code store {folder} has codes of other audio of utterance '{utterance.id}' "
                    f"({stamps[utterance.id]}), the manifest says {stretch_of(utterance)}; "
                    "encode it again: amtts encode-codes --force"
                )
            if why:
                problems[index] = why
        return cls(store, [utterance.id for utterance in utterances], problems)

    def __len__(self) -> int:
        return len(self.ids)

    def lengths(self, index: int) -> dict[str, int]:
        """Rows of every array of one utterance."""
        return self.store.lengths(self.ids[index])

    def get(self, index: int) -> dict[str, np.ndarray]:
        """`codes` (L, K) uint16 of one utterance, and what else is stored of it."""
        return self.store.arrays(self.ids[index])

    def statistics(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        """None: codes have no mean."""
        return {}
