"""Features of a corpus, computed once and memory-mapped: one flat file a feature, not one file a clip.

A store is a folder: `store.json` (format, key, shapes), `rows.jsonl` (one line an utterance: id, row ranges) and
`<name>.bin` (all utterances' arrays one after another, C channels a row). Text is not stored: tokens are derived
from the manifest, so a new tokenizer needs no audio again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from amtts_core.audio.io import read_audio
from amtts_core.contract.backend import Backend
from amtts_core.contract.reference_audio import FeatureExtractor
from amtts_core.corpus.manifest import Utterance
from amtts_core.data.rate_check import tell_lower_rates
from amtts_core.errors import AmttsError
from amtts_core.storage.feature_store import FORMAT, Computed, FeatureStore, as_stored, stored_in

logger = logging.getLogger(__name__)
TAIL = 0.05
"""Seconds that a file may go on behind its only utterance and still be taken whole: durations are rounded."""


def feature_extractor(backend: Backend[Any]) -> FeatureExtractor:
    """How a backend's features are computed."""
    return FeatureExtractor(
        backend.spec.name,
        backend.feature_key(),
        backend.sample_rate,
        backend.features,
        rate_is_configurable=not isinstance(backend.spec.sample_rate, int),
    )


class FeatureSource(Protocol):
    """Where a dataset takes the features of its utterances from, by their place in the manifest."""

    @property
    def problems(self) -> dict[int, str]:
        """Index of an utterance without features -> why."""
        ...

    def lengths(self, index: int) -> dict[str, int]:
        """Rows of every feature of one utterance."""
        ...

    def get(self, index: int) -> dict[str, np.ndarray]:
        """Feature name -> (L, C) of one utterance."""
        ...

    def statistics(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        """`<name>_mean` and `<name>_std`, (C,) float32, over the given utterances, where they mean anything."""
        ...


def store_key(extractor: FeatureExtractor, manifest: Path, utterances: Sequence[Utterance]) -> str:
    """Hash of everything the features depend on: maths, sample rate, and every audio file's size, time and stretch."""
    digest = hashlib.sha256(f"{FORMAT}|{extractor.name}|{extractor.key}".encode())
    shared = Counter(utterance.audio_filepath for utterance in utterances)
    for utterance in utterances:
        path = utterance.audio_path(manifest)
        try:
            stat = os.stat(path)
            state = f"{stat.st_size}|{stat.st_mtime_ns}"
        except OSError as error:  # reported as a problem of this utterance when it is read
            state = f"error {error.errno}"
        stretch = f"{utterance.offset}+{utterance.duration}" if _is_cut(utterance, shared) else ""
        where = os.path.abspath(path)  # the same from every working folder
        digest.update(f"{utterance.id}|{where}|{state}|{stretch}".encode())
    return digest.hexdigest()[:16]


def _is_cut(utterance: Utterance, shared: Mapping[str, int]) -> bool:
    return bool(utterance.offset) or shared[utterance.audio_filepath] > 1


def build_store(
    extractor: FeatureExtractor,
    manifest: Path,
    utterances: Sequence[Utterance],
    cache: Path,
    *,
    jobs: int = 2,
    on_progress: Callable[[int], None] | None = None,
) -> FeatureStore:
    """Opens the store of these utterances, or makes it: decoded, turned into features, appended.

    An utterance whose audio is missing, unreadable or not finite is stored without features and with the reason.

    Args:
        extractor: what is stored.
        manifest: file that relative audio paths are relative to.
        utterances: in the order of the store.
        cache: folder that holds stores, one subfolder each.
        jobs: threads; decoding and FFTs run outside Python's lock.
        on_progress: called with 1 after each utterance.

    Raises:
        AmttsError: the cache cannot be written.
    """
    folder = cache / f"{extractor.name}-{store_key(extractor, manifest, utterances)}"

    def make() -> Iterable[Computed]:
        if extractor.rate_is_configurable:
            tell_lower_rates(manifest, utterances, extractor.sample_rate, who=f"'{extractor.name}'")
        return _all_features(extractor, manifest, utterances, jobs)

    return stored_in(folder, make, on_progress)


def _all_features(
    extractor: FeatureExtractor, manifest: Path, utterances: Sequence[Utterance], jobs: int
) -> Iterator[Computed]:
    def one(utterance: Utterance) -> Computed:
        try:
            waveform = load_utterance(utterance, manifest, extractor.sample_rate)
            arrays = extractor.extract(waveform).arrays
            if extractor.extract_more is not None:
                arrays = arrays | extractor.extract_more(utterance, waveform)
            return Computed(utterance.id, as_stored(arrays))
        except AmttsError as fault:
            return Computed(utterance.id, {}, str(fault))

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for start in range(0, len(utterances), 256):  # a window, so that finished features do not pile up
            yield from pool.map(one, utterances[start : start + 256])


def load_utterance(utterance: Utterance, manifest: Path, sample_rate: int) -> np.ndarray:
    """The utterance's waveform, (T,) float32 mono at `sample_rate`: `duration` seconds from `offset` on.

    A file that ends with its utterance, give or take `TAIL`, is taken to its end.

    Raises:
        AmttsError: missing, unreadable, or with samples that are not finite; names the utterance.
    """
    try:
        waveform = read_audio(
            utterance.audio_path(manifest),
            sample_rate=sample_rate,
            offset=utterance.offset,
            duration=utterance.duration if utterance.offset else None,
        )
    except AmttsError as fault:
        raise AmttsError(f"utterance '{utterance.id}': {fault.message}", remedy=fault.remedy) from None
    if len(waveform) > (utterance.duration + TAIL) * sample_rate:
        waveform = waveform[: round(utterance.duration * sample_rate)]
    if not np.isfinite(waveform).all():
        raise AmttsError(f"audio of utterance '{utterance.id}' holds samples that are not finite")
    return waveform
