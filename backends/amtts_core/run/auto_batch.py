"""`--auto-batch`: the largest `data.batch_seconds` whose largest batches fit into memory.

On a GPU by trying: a step that runs out of memory is too large. On a CPU, where running out of memory kills the
process, by measuring how much a step needs and staying below a share of what is free. Steps are made with a learning
rate of 0 and everything they change is restored, so that the run begins as it would have.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.data.dataset import SpeechDataset
from amtts_core.data.sampler import BucketSampler
from amtts_core.memory import return_freed_memory
from amtts_core.training.step import OutOfMemoryError
from amtts_core.training.trainer import Trainer
from amtts_core.units import Seconds

logger = logging.getLogger(__name__)
GPU_MARGIN = 0.1
"""Share of the found budget that is given back: other batches fragment memory in other ways."""
CPU_SHARE = 0.25
"""Share of the free memory that a step may add: the next try is twice as large and may need four times as much."""


def with_largest_batch(
    config: RunConfig, backend: Backend, data: SpeechDataset, *, run: Path, info: CheckpointInfo
) -> RunConfig:
    """The settings with the largest `data.batch_seconds` that fits.

    `training.accumulate` is lowered as long as an optimizer step is not made of fewer seconds than before, and raised
    where less fits than was asked for.

    Raises:
        AmttsError: not even one utterance fits.
    """
    kept = {name: tensor.detach().cpu().clone() for name, tensor in backend.network.state_dict().items()}
    with torch.random.fork_rng():
        trainer = Trainer(
            backend,
            train_data=data,
            val_data=None,
            data=config.data,
            training=config.training.model_copy(
                update={"optim": config.training.optim.model_copy(update={"schedule": "constant"})}
            ),
            run=run,
            info=info,
        )
        found = _Search(trainer, config).largest()
    backend.network.load_state_dict(kept)
    for parameter in backend.network.parameters():
        parameter.grad = None
    del trainer
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    before = config.data.batch_seconds * config.training.accumulate
    accumulate = max(1, math.ceil(before / found))
    logger.info(
        "auto-batch: data.batch_seconds=%g (was %g), training.accumulate=%d (was %d): a step has up to %g s of audio, "
        "before up to %g s",
        *(
            found,
            config.data.batch_seconds,
            accumulate,
            config.training.accumulate,
            found * accumulate,
            before,
        ),
    )
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"batch_seconds": found}),
            "training": config.training.model_copy(update={"accumulate": accumulate}),
        }
    )


class _Search:
    """Doubles the budget until it does not fit, then halves the gap."""

    def __init__(self, trainer: Trainer, config: RunConfig) -> None:
        self._trainer, self._config = trainer, config
        self._durations = trainer.loader.sampler.durations
        self._gpu = trainer.accelerator.device.type == "cuda"
        gc.collect()
        return_freed_memory()  # of an earlier training in this process: a step would seem to need none
        self._base = psutil.Process().memory_info().rss  # before any gradient or moment
        self._allowed = CPU_SHARE * free_memory() / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        trainer.runner.may_split = False

    def largest(self) -> Seconds:
        """The largest budget that fits, rounded down to a tenth of a second."""
        longest = float(self._durations.max())
        good, bad, budget = 0.0, 0.0, longest
        while not bad:
            if not self._fits(budget):
                bad = budget
            elif self._largest_batches(budget) == self._largest_batches(
                2 * budget
            ):  # data.max_utterances ends it
                return budget
            else:
                good, budget = budget, 2 * budget
        if not good:  # StepRunner's error has a remedy where not even one utterance fits
            self._trainer.runner.may_split = True
            self._try(self._largest_batches(bad))
            return bad
        for _ in range(3):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if self._fits(middle) else (good, middle)
        if self._gpu:
            good = max(longest, good * (1 - GPU_MARGIN))
        return max(0.1, math.floor(10 * good) / 10)

    def _largest_batches(self, budget: Seconds) -> list[list[int]]:
        """The batch of most seconds, padding included, and that of the longest utterances."""
        sampler = BucketSampler(
            self._durations.tolist(),
            batch_seconds=budget,
            max_utterances=self._config.data.max_utterances,
            seed=self._config.training.seed,
        )
        batches = sampler.in_order()
        widest = max(batches, key=lambda batch: float(self._durations[batch].max()) * len(batch))
        count = min(max(1, int(budget / float(self._durations.max()))), self._config.data.max_utterances)
        longest = self._durations.argsort(kind="stable")[-count:].tolist()
        return [widest] if sorted(widest) == sorted(longest) else [widest, longest]

    def _fits(self, budget: Seconds) -> bool:
        processes = self._trainer.processes
        batches = self._largest_batches(budget)
        if self._gpu:
            try:
                self._try(batches)
            except OutOfMemoryError:
                fits, note = False, "out of memory"
            else:
                fits, note = True, f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB at most"
            torch.cuda.empty_cache()
        else:
            with PeakMemory() as memory:
                self._try(batches)
            taken = memory.peak - self._base
            fits = taken <= self._allowed
            note = f"a step takes {taken / 2**30:.2f} GiB; {self._allowed / 2**30:.2f} GiB may be used"
        fits = not processes.highest(int(not fits))
        logger.info("auto-batch: %.1f s: %s", budget, note)
        return fits

    def _try(self, batches: Sequence[Sequence[int]]) -> None:
        trainer = self._trainer
        for indices in batches:
            trainer.runner.run([trainer.train_data.batch(indices)], rate=0.0, batches=trainer.processes.count)


class PeakMemory:
    """Measures in a thread how much this process holds inside the context."""

    EVERY = 0.005

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0
        """Bytes held at most."""

    def __enter__(self) -> PeakMemory:
        gc.collect()
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._look()
            time.sleep(self.EVERY)

    def _look(self) -> None:
        self.peak = max(self.peak, self._process.memory_info().rss)


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has left, or less where a container says so."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text())
            free = min(free, max(0, int(limit) - used))
    except (OSError, ValueError):  # another system, or an older kernel
        return free
    return free
