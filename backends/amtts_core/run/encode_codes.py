"""Encodes a manifest: utterances of like length together, resumable, one shard a process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amtts_core.codec.store import FEATURE, require_parts, shard_folder, stretch_of
from amtts_core.codec.writer import EncodedUtterance, ShardWriter
from amtts_core.contract.codec import CodeCache, CodecIdentity, SpeechCodec
from amtts_core.corpus.executors import Executor
from amtts_core.corpus.manifest import Utterance, empty_manifest, read_manifest
from amtts_core.data.dataset import prefetch
from amtts_core.data.features import load_utterance
from amtts_core.data.rate_check import tell_lower_rates
from amtts_core.data.sampler import BucketSampler
from amtts_core.errors import AmttsError
from amtts_core.memory import keep_freed_memory
from amtts_core.units import Seconds

TOGETHER_SECONDS: Seconds = 60.0
GRID: Seconds = 0.5
"""Batches are as long as a multiple of this: a CPU makes the kernels of a new shape first, as long again in bf16."""
TOGETHER = 32
"""Utterances of one batch at most."""
Made = dict[str, np.ndarray] | str
"""Arrays of an utterance by name, or why it has none."""
MISSING = "missing"
"""Stands for the size of an audio file that is not there."""
LARGEST = 1 << 16
"""Entries of a codebook that two bytes can number."""


@dataclass(frozen=True)
class EncodeProgress:
    """How far a call has come.

    Attributes:
        done: utterances of this shard, with those that were done before.
        total: utterances of this shard.
        speech: encoded by this call.
        took: since the first batch was asked for.
    """

    done: int
    total: int
    speech: Seconds
    took: Seconds

    @property
    def speed(self) -> float:
        """Seconds of speech per second."""
        return self.speech / max(self.took, 1e-9)


@dataclass(frozen=True)
class EncodeReport:
    """What one call did."""

    folder: Path
    identity: CodecIdentity
    encoded: int
    reused: int
    """Utterances whose codes were there already."""
    speech: Seconds
    """Speech encoded by this call."""
    took: Seconds
    without: dict[str, str] = field(default_factory=dict)
    """Utterances of this shard that have no codes -> why."""

    @property
    def speed(self) -> float:
        """Seconds of speech per second."""
        return self.speech / max(self.took, 1e-9)


def encode_manifest(
    manifest: Path,
    codec: SpeechCodec,
    out: Path,
    *,
    batch_seconds: Seconds = 0.0,
    num_shards: int = 1,
    shard_index: int = 0,
    force: bool = False,
    device: str = "cpu",
    executor: Executor | None = None,
    jobs: int = 0,
    reopen: Callable[[], SpeechCodec] | None = None,
    on_progress: Callable[[EncodeProgress], None] | None = None,
) -> EncodeReport:
    """Encodes the utterances of a manifest (of this shard) whose codes are not there yet.

    An utterance whose audio is missing, unreadable or not finite has no codes but a reason; the next call tries it
    again.

    Args:
        manifest: made by `amtts prepare`.
        codec: opened; a shard of another codec or other weights is refused.
        out: folder of the store.
        batch_seconds: speech of one batch, padding included; 0 takes one utterance at a time on a CPU, where a batch
            outgrows the caches and takes half as long again, and 60 s elsewhere.
        num_shards: processes that share the manifest; each takes every `num_shards`-th utterance.
        shard_index: which of them this is.
        force: delete this shard's codes and encode everything again.
        device: where the codec runs.
        executor: does the batches elsewhere; None encodes here.
        jobs: batches at once of the executor; 0 is as many as there are cores.
        reopen: opens the codec where the executor works; picklable.
        on_progress: called at the start and after every batch.

    Raises:
        AmttsError: the manifest is bad, no audio can be read, the codes do not belong to this manifest and codec, or
            another process encodes this shard.
    """
    if not 0 <= shard_index < num_shards:
        raise AmttsError(f"shard index {shard_index} is out of range; expected 0 to {num_shards - 1}")
    utterances = _unique(manifest)[shard_index::num_shards]
    if codec.cardinality > LARGEST:
        raise AmttsError(
            f"codec '{codec.name}' has {codec.cardinality} entries a codebook; codes are stored in two bytes, at most "
            f"{LARGEST}"
        )
    cached = codec.cache
    stamps = {u.id: _audio_stamp(u, manifest) for u in utterances}
    if utterances and not cached and all(stamp.startswith(MISSING) for stamp in stamps.values()):
        raise AmttsError(
            f"no audio file that {manifest} names is there, such as {utterances[0].audio_path(manifest)}",
            remedy="Run `amtts prepare` again, or put the audio where the manifest says",
        )
    require_parts(out, num_shards)
    folder = shard_folder(out, shard_index, num_shards)
    identity = CodecIdentity.of(codec)
    extras = (codec.cache.extras if codec.cache else codec.extras) or None
    writer = ShardWriter.open(folder, identity, extras=extras, fresh=force)
    with contextlib.closing(writer):
        _refuse_strangers(writer, stamps)
        left = [u for u in utterances if u.id not in writer.done]
        if not cached:
            tell_lower_rates(manifest, left, codec.sample_rate, who=f"codec '{codec.name}'")
        seconds = {u.id: u.duration for u in left}
        reused, speech, began = len(utterances) - len(left), 0.0, time.monotonic()

        def report() -> None:
            if on_progress:
                passed = time.monotonic() - began
                on_progress(EncodeProgress(len(writer.done), len(utterances), speech, passed))

        report()
        for items in (
            _read(cached, manifest, left, stamps)
            if cached
            else _encoded(codec, manifest, left, stamps, batch_seconds, device, executor, jobs, reopen)
        ):
            writer.append(items)
            speech += sum(seconds[item.id] for item in items if not item.problem)
            report()
        if writer.without and len(writer.without) == len(writer.done):
            key, why = next(iter(writer.without.items()))
            writer.drop_if_empty()
            raise AmttsError(f"no utterance of {manifest} has codes; '{key}': {why}")
        writer.finish()
        return EncodeReport(
            folder=folder,
            identity=identity,
            encoded=len(left) - len(writer.without),
            reused=reused,
            speech=speech,
            took=time.monotonic() - began,
            without=writer.without,
        )


def _read(
    codec: CodeCache, manifest: Path, left: list[Utterance], stamps: dict[str, str]
) -> Iterator[list[EncodedUtterance]]:
    """Utterances whose codes other programs have made, as they are found in their files."""
    for start in range(0, len(left), TOGETHER):
        items = []
        for utterance in left[start : start + TOGETHER]:
            arrays, problem = {}, ""
            try:
                arrays = codec.read(utterance.id, utterance.audio_path(manifest))
            except AmttsError as fault:
                problem = fault.message
            items.append(EncodedUtterance(utterance.id, stamps[utterance.id], arrays, problem))
        yield items


def _encoded(
    codec: SpeechCodec,
    manifest: Path,
    left: list[Utterance],
    stamps: dict[str, str],
    batch_seconds: Seconds,
    device: str,
    executor: Executor | None,
    jobs: int,
    reopen: Callable[[], SpeechCodec] | None,
) -> Iterator[list[EncodedUtterance]]:
    """Utterances encoded by the codec, here or by the executor."""
    batches = _batches(left, batch_seconds, device)
    if executor is None:
        encoded = _here(codec, manifest, device, left, batches)
    else:
        assert reopen is not None, "an executor opens the codec itself"
        work = BatchEncoder(reopen, manifest.resolve(), device)
        encoded = executor(work, (([left[i] for i in batch], None) for batch in batches), jobs=jobs)
    for chosen, codes in encoded:
        yield [
            EncodedUtterance(u.id, stamps[u.id], {}, c)
            if isinstance(c, str)
            else EncodedUtterance(u.id, stamps[u.id], c)
            for u, c in zip(chosen, codes, strict=True)
        ]


def _here(
    codec: SpeechCodec, manifest: Path, device: str, left: list[Utterance], batches: list[list[int]]
) -> Iterator[tuple[list[Utterance], list[Made]]]:
    """Encodes in this process, reading one batch ahead."""
    codec.to(device)
    keep_freed_memory(all_sizes=True)

    def load(indices: list[int]) -> dict[str, Any]:
        chosen = [left[i] for i in indices]
        return {"utterances": chosen, "waves": _load(chosen, manifest, codec)}

    for batch in prefetch(load, batches):
        yield batch["utterances"], _encode(codec, batch["waves"], device)


class BatchEncoder:
    """Encodes a batch of utterances in whatever process it is unpickled in; opens the codec there, once.

    Args:
        reopen: opens the codec.
        manifest: absolute path.
        device: where the codec runs.
    """

    def __init__(self, reopen: Callable[[], SpeechCodec], manifest: Path, device: str) -> None:
        self._reopen, self._manifest, self._device = reopen, manifest, device
        self._codec: SpeechCodec | None = None

    def __call__(self, utterances: list[Utterance]) -> list[Made]:
        """Arrays of each utterance, or why it has none."""
        if self._codec is None:
            self._codec = self._reopen()
            self._codec.to(self._device)
            keep_freed_memory(all_sizes=True)
        waves = _load(utterances, self._manifest, self._codec)
        return _encode(self._codec, waves, self._device)


def _load(utterances: list[Utterance], manifest: Path, codec: SpeechCodec) -> list[np.ndarray | str]:
    """(T,) of each utterance, or what is wrong with its audio."""
    out: list[np.ndarray | str] = []
    for utterance in utterances:
        try:
            wave = load_utterance(utterance, manifest, codec.sample_rate)
            out.append(wave if len(wave) else f"audio of utterance '{utterance.id}' holds no sample")
        except AmttsError as fault:
            out.append(fault.message)
    return out


def _unique(manifest: Path) -> list[Utterance]:
    utterances = list(read_manifest(manifest))
    if not utterances:
        raise empty_manifest(manifest)
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise AmttsError(f"manifest {manifest}: the id '{utterance.id}' occurs more than once")
        seen.add(utterance.id)
    return utterances


def _audio_stamp(utterance: Utterance, manifest: Path) -> str:
    """Changes when the audio does; the same on every machine that holds a copy."""
    try:
        size = f"{utterance.audio_path(manifest).stat().st_size} bytes"
    except (OSError, ValueError):  # reported when it is read, as a problem of this utterance
        size = MISSING
    return f"{size}, {stretch_of(utterance)}"


def _refuse_strangers(writer: ShardWriter, stamps: dict[str, str]) -> None:
    for key, stamp in writer.done.items():
        now = stamps.get(key)
        if now != stamp:
            why = f"its audio was {stamp}, is now {now}" if now else "the manifest (shard) does not name it"
            raise AmttsError(
                f"{writer.folder} holds codes of utterance '{key}', but {why}",
                remedy="Encode into another folder, or again with --force",
            )


def _batches(utterances: Sequence[Utterance], batch_seconds: Seconds, device: str) -> list[list[int]]:
    """Indices of like duration together, the longest first, so that memory shows its peak at once."""
    together = TOGETHER if batch_seconds or device != "cpu" else 1
    sampler = BucketSampler(
        [utterance.duration for utterance in utterances],
        batch_seconds=batch_seconds or TOGETHER_SECONDS,
        max_utterances=together,
        seed=0,
    )
    return sampler.in_order()[::-1]


def _encode(codec: SpeechCodec, loaded: Sequence[np.ndarray | str], device: str) -> list[Made]:
    """`codes` (L, K) uint16 of each waveform with what else the codec says of it; a reason stays as it is."""
    waves = [wave for wave in loaded if not isinstance(wave, str)]
    if not waves:
        return [wave for wave in loaded if isinstance(wave, str)]
    lengths = torch.tensor([len(wave) for wave in waves])
    grid = max(1, round(GRID * codec.sample_rate))
    padded = torch.zeros(len(waves), -(-int(lengths.max()) // grid) * grid)
    for row, wave in enumerate(waves):
        padded[row, : len(wave)] = torch.from_numpy(wave)
    padded = padded.to(device)
    codes = codec.encode(padded, lengths.to(device))
    made: list[Made] = []
    for row, length in enumerate(lengths.tolist()):
        own = codes[row, :, : codec.num_frames(length)]
        made.append(_arrays(codec, padded[row, :length], own))
    found = iter(made)
    return [wave if isinstance(wave, str) else next(found) for wave in loaded]


def _arrays(codec: SpeechCodec, waveform: Tensor, codes: Tensor) -> Made:
    """What is stored of a waveform (T,) with codes (K, L), or why nothing is."""
    arrays = {FEATURE: codes.cpu().numpy().astype(np.uint16).T}
    if codec.extras:
        try:
            arrays |= codec.describe(waveform, codes)
        except AmttsError as fault:
            return fault.message
    return arrays
