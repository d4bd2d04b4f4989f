"""How a training run is started: what it reads, where it writes, and whether it begins or continues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amtts_core.corpus.manifest import Utterance
from amtts_core.finetune.init_weights import InitWeights

Progress = Callable[[str, int, int], None]
"""(what, done, total), e.g. ("features of train.jsonl", 12, 380)."""
Select = Callable[[list[Utterance]], list[Utterance]]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Everything about the start of a run that is no setting of `RunConfig`.

    Attributes:
        data: folder with train.jsonl (and val.jsonl), made by `amtts prepare`.
        run: folder of the run.
        tokenizer: tokenizer folder; None takes that of `init`, or `data/tokenizer`.
        init: weights to begin with, see `open_init_weights`; None begins from scratch. A resumed run needs none.
        feedback: folder with corrected words (x.wav and x.txt); the run trains on these and on utterances of `data`.
        resume: continue the run in `run` from its latest sound checkpoint.
        force: resume although data or settings changed, where that is safe; each change is logged.
        from_scratch: allow a new run in a folder that holds one (its checkpoints are moved aside, not deleted).
        auto_batch: look for the largest batch that fits into memory.
        jobs: threads for feature computation.
        select: takes some utterances of each set; None takes all.
    """

    data: Path
    run: Path
    tokenizer: Path | None = None
    init: InitWeights | None = None
    feedback: Path | None = None
    resume: bool = False
    force: bool = False
    from_scratch: bool = False
    auto_batch: bool = False
    jobs: int = 2
    select: Select | None = None
