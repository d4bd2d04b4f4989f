"""The numbers at the end of a run: what came in, what was kept, why the rest was not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from amtts_core.corpus.ledger import MANIFEST, TWO_SIDES, CorpusFiles
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.corpus.size_check import size_warnings
from amtts_core.corpus.split import SPLITS
from amtts_core.units import Seconds


class SplitReport(BaseModel):
    """Size of one split."""

    utterances: int
    seconds: Seconds


class PrepareReport(BaseModel):
    """What a run did; `total == kept + dropped + set_aside`."""

    out: str
    manifest: str
    importer: str
    total: int
    kept: int
    dropped: int
    set_aside: int = Field(description="entries that are no clips of this corpus, such as empty captions")
    reused: int = Field(description="clips whose result an earlier run had left")
    reasons: dict[str, int] = Field(description="rule -> rejected clips, most frequent first")
    aside: dict[str, int] = Field(description="rule -> entries that are set aside, most frequent first")
    flags: dict[str, int] = Field(description="rule -> clips that are kept, but stand out")
    seconds: Seconds = Field(description="speech that is kept")
    splits: dict[str, SplitReport]
    speakers: int
    leftovers: dict[str, int] = Field(
        description="characters the language has no symbol for, most frequent first"
    )
    suspicious_spaces: float = Field(
        description="share of the spaces that stand beside a lone prefix or suffix, as in texts split into morphemes"
    )
    warnings: list[str]


def make_report(
    files: CorpusFiles,
    out: Path,
    settings: PrepareSettings,
    *,
    importer: str,
    reused: int,
    warnings: Sequence[str] = (),
) -> PrepareReport:
    """The report of a finished run.

    Args:
        files: what was written.
        out: the corpus folder, as the user named it.
        settings: of the run.
        importer: name of the importer.
        reused: clips whose result an earlier run had left.
        warnings: of the importer.
    """
    shares = zip(SPLITS[1:], (settings.val, settings.test), strict=True)
    lines = [*warnings]
    lines += [
        f"the {split} split is empty: {files.kept} utterances are too few for --{split} {share:g}"
        for split, share in shares
        if share and not files.splits[split]
    ]
    if files.kept and not files.splits["train"]:
        lines.append("nothing is left for training; --val 0 --test 0 keep every clip for it")
    if split_words := files.spaces.warning():
        lines.append(split_words)
    if files.flags["pace"]:
        lines.append(
            f"{files.flags['pace']} clips are read much faster or slower than their speaker reads; "
            "--set pace=reject leaves them out"
        )
    if files.flags[TWO_SIDES]:
        lines.append(
            f"{files.flags[TWO_SIDES]} clips have sound of its own on each side, as with a person on each, and were "
            "mixed; --channel left or --channel right takes one side"
        )
    lines += size_warnings(files.speakers, sum(files.seconds.values()))
    if reminder := _reminder(files):
        lines.append(reminder)
    leftovers = dict(files.leftovers.most_common())
    if leftovers:
        shown = ", ".join(f"{character!r} {count}" for character, count in list(leftovers.items())[:10])
        lines.append(f"characters outside of the language's symbols are left in the text: {shown}")
    if files.guesses:
        words = ", ".join(f"{word} {count}" for word, count in files.guesses.most_common(10))
        lines.append(
            f"{files.guesses.total()} words were read by guess ({words}); --lexicon FILE takes readings of "
            "your own"
        )
    if files.left_out:
        shown = ", ".join(f"{item} {count}" for item, count in files.left_out.most_common(10))
        lines.append(f"{files.left_out.total()} emoji, tags and marks were left out of the text: {shown}")
    return PrepareReport(
        out=str(out),
        manifest=str(out / MANIFEST),
        importer=importer,
        total=files.total,
        kept=files.kept,
        dropped=files.dropped,
        set_aside=files.aside.total(),
        reused=reused,
        reasons=dict(files.reasons.most_common()),
        aside=dict(files.aside.most_common()),
        flags=dict(files.flags.most_common()),
        seconds=round(sum(files.seconds.values()), 3),
        splits={
            split: SplitReport(utterances=files.splits[split], seconds=round(files.seconds[split], 3))
            for split in SPLITS
        },
        speakers=len(files.speakers),
        leftovers=leftovers,
        suspicious_spaces=round(files.spaces.share, 4),
        warnings=lines,
    )


def _reminder(files: CorpusFiles) -> str:
    """One line about what a corpus does not say of its license and of consent; empty where it says both."""
    unlicensed, unheard = files.licenses[""], files.without_consent
    lacking = [f"no license for {unlicensed} of {files.kept} clips"] if unlicensed else []
    lacking += [f"no consent of {unheard} of {len(files.speakers)} speaker(s)"] if unheard else []
    if not lacking:
        return ""
    return (
        f"{' and '.join(lacking)} stated; --license, --consent-note or a speakers.tsv state it, and it travels with "
        "the corpus and the voices that are made of it"
    )
