"""One machine's share of a large source: the work on each clip, and nothing that depends on other clips.

Audio and a journal are left in the output folder. `prepare_corpus` over the same folder finds all of it done, decides
about duplicates, pace and splits, and writes the same corpus as one undisturbed run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from amtts_core.corpus.executors import choose_executor
from amtts_core.corpus.journal import Journal
from amtts_core.corpus.prepare import PrepareProgress, open_source
from amtts_core.corpus.process import ClipProcessor
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.shard import Shard
from amtts_core.corpus.tasks import TaskStream
from amtts_core.corpus.unpacked import archive_of
from amtts_core.errors import AmttsError


class ShardReport(BaseModel):
    """What a shard did."""

    out: str
    shard_index: int
    num_shards: int
    total: int = Field(description="entries of the whole source")
    done: int = Field(description="of them in this shard")
    dropped: int = Field(description="of those that cannot be kept, whatever the other shards find")
    reused: int = Field(description="clips whose result an earlier run of the shard had left")


def prepare_shard(
    source: Path | Sequence[Path],
    out: Path,
    settings: PrepareSettings,
    shard: Shard,
    *,
    importer: str = "",
    jobs: int = 0,
    executor: str = "local",
    force: bool = False,
    audio_root: Path | None = None,
    on_progress: Callable[[PrepareProgress], None] | None = None,
) -> ShardReport:
    """Does one shard of a source; the arguments are those of `prepare_corpus`.

    Raises:
        AmttsError: source or out cannot be used, or another process works on the same shard.
    """
    run_ordered = choose_executor(executor)
    processor = ClipProcessor(
        settings, Path(os.path.realpath(out))
    )  # refuses unknown languages before anything is written
    given = [source] if isinstance(source, Path) else list(source)
    if archive := next(filter(None, map(archive_of, given)), None):
        raise AmttsError(
            f"{archive} is an archive, and shards share an unpacked folder", remedy="Unpack it first"
        )
    _, reading, workspace = open_source(
        source, out, settings, importer=importer, force=force, audio_root=audio_root
    )
    done = dropped = reused = 0
    with Journal(workspace.out, shard.journal) as journal:
        if workspace.redo:
            journal.forget_all()
        tasks = TaskStream(reading, journal, workspace, settings, shard=shard)
        with contextlib.closing(run_ordered(processor, tasks, jobs=jobs)) as results:
            for task, outcome in results:
                if task.path:
                    kept = outcome.finding is None
                    journal.record(task.id, task.fingerprint, outcome.model_dump_json(), kept=kept)
                done, reused = done + 1, reused + task.known
                dropped += outcome.finding is not None
                if on_progress is not None:
                    on_progress(PrepareProgress(done, None, dropped, reused))
        return ShardReport(
            out=str(out),
            shard_index=shard.index,
            num_shards=shard.count,
            total=tasks.count,
            done=done,
            dropped=dropped,
            reused=reused,
        )
