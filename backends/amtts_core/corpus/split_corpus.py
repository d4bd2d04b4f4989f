"""Splits a corpus that is prepared already into train, val and test, anew or with other shares.

By sentence, each sentence goes to one side with everybody who says it. By speaker, whole speakers are held out as
well; a sentence that speakers of two sides say is then left out on the less precious side, with a ledger row.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, Field

from amtts_core.corpus.filters import Finding
from amtts_core.corpus.manifest import Utterance, read_manifest
from amtts_core.corpus.prepare_report import SplitReport
from amtts_core.corpus.report.build import write_report
from amtts_core.corpus.split import SPLITS, FewForValidation, Split, place_of, sentence_key, split_of
from amtts_core.corpus.workspace import writing
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import json_line
from amtts_core.units import Seconds

Grouping = Literal["sentence", "speaker"]
MANIFEST = "manifest.jsonl"
LEDGER = "split-rejected.jsonl"
_PRECIOUS: tuple[Split, ...] = ("test", "val", "train")


class CorpusSplit(BaseModel):
    """What `amtts split` did; `total` is the sum of the splits and `left_out`."""

    data: str
    by: str
    total: int
    splits: dict[str, SplitReport]
    speakers: dict[str, int] = Field(description="split -> speakers in it")
    left_out: int = Field(description="utterances whose sentence another side has; see split-rejected.jsonl")
    warnings: list[str]


def split_corpus(
    data: Path, *, val: float, test: float, by: str = "sentence", report: bool = True
) -> CorpusSplit:
    """Writes `train.jsonl`, `val.jsonl`, `test.jsonl` and the `split` of each row of the manifest, all or none.

    Args:
        data: corpus folder.
        val: share of the sentences, or of the speakers, for validation.
        test: share for the test set.
        by: "sentence", or "speaker" for both.
        report: write report.html and report.json anew.

    Raises:
        AmttsError: shares or folder cannot be used, or speakers cannot be held out.
    """
    if by not in get_args(Grouping):
        raise AmttsError(f"--by {by} is unknown; known: {', '.join(get_args(Grouping))}")
    for name, share in (("val", val), ("test", test)):
        if not 0 <= share < 1:
            raise AmttsError(f"--{name} {share:g} is no share; expected 0 up to below 1")
    if val + test >= 1:
        raise AmttsError(f"--val {val:g} and --test {test:g} leave nothing to train on")
    manifest = data / MANIFEST
    if not manifest.is_file():
        raise AmttsError(
            f"{data} holds no {MANIFEST}",
            remedy="Give a corpus folder made by `amtts prepare` or `amtts merge`",
        )
    sides = _SpeakerSides(manifest, val, test) if by == "speaker" else None
    result = _write(data, manifest, sides, val=val, test=test)
    if report:
        write_report(data)
    return result


class _SpeakerSides:
    """Which side each speaker is on, and which sentences the held-out speakers say."""

    def __init__(self, manifest: Path, val: float, test: float) -> None:
        rows: Counter[str] = Counter(utterance.speaker for utterance in read_manifest(manifest))
        if rows[""]:
            raise AmttsError(
                f"{rows['']} utterances of {manifest} name no speaker, so speakers cannot be held out",
                remedy="Split by sentence: amtts split --by sentence",
            )
        needed = 1 + (val > 0) + (test > 0)
        if len(rows) < needed:
            raise AmttsError(
                f"{manifest} has {len(rows)} speaker(s), but {needed} sides need one each",
                remedy="Split by sentence: amtts split --by sentence",
            )
        ordered = sorted(rows, key=_place)
        held: dict[str, Split] = {s: "test" for s in ordered if _place(s) < test}
        if test and not held:
            held[ordered[0]] = "test"
        rest = [speaker for speaker in ordered if speaker not in held]
        own: list[str] = [speaker for speaker in rest if _place(speaker) < test + val] or rest[: val > 0]
        held |= dict.fromkeys(own, "val")
        if len(held) == len(rows):  # someone has to train
            del held[ordered[-1]]
        self._held = held
        self._sentences: dict[Split, set[bytes]] = {side: set() for side in SPLITS}
        for utterance in read_manifest(manifest):
            side = self.of(utterance)
            if side != "train":
                self._sentences[side].add(_digest(utterance))

    def of(self, utterance: Utterance) -> Split:
        """The side of its speaker."""
        return self._held.get(utterance.speaker, "train")

    def clash(self, utterance: Utterance, side: Split) -> Split | None:
        """The more precious side that has its sentence already."""
        above = _PRECIOUS[: _PRECIOUS.index(side)]
        return next((other for other in above if _digest(utterance) in self._sentences[other]), None)


def _write(
    data: Path, manifest: Path, sides: _SpeakerSides | None, *, val: float, test: float
) -> CorpusSplit:
    counts: Counter[str] = Counter(dict.fromkeys(SPLITS, 0))
    seconds: dict[str, Seconds] = dict.fromkeys(SPLITS, 0.0)
    speakers: dict[str, set[str]] = {side: set() for side in SPLITS}
    left_out = 0
    names = (MANIFEST, LEDGER, *(f"{side}.jsonl" for side in SPLITS))
    with writing(data), ExitStack() as stack:
        temporary = {name: data / f"{name}.tmp" for name in names}
        for path in temporary.values():
            stack.callback(path.unlink, missing_ok=True)
        with ExitStack() as files:
            out = {
                name: files.enter_context(path.open("w", encoding="utf-8"))
                for name, path in temporary.items()
            }
            for utterance, side, finding in _assigned(manifest, sides, val, test):
                row = utterance.model_dump(exclude_none=True) | {"split": side}
                if finding is not None:
                    left_out += 1
                    row.pop("split")
                    out[LEDGER].write(json_line(_ledger_row(utterance, finding)))
                else:
                    out[f"{side}.jsonl"].write(json_line(row))
                    counts[side] += 1
                    seconds[side] += utterance.duration
                    speakers[side].add(utterance.speaker)
                out[MANIFEST].write(json_line(row))
        for name, path in temporary.items():
            os.replace(path, data / name)
        if not left_out:
            (data / LEDGER).unlink()
    warnings = [
        f"the {side} split is empty: {counts.total()} utterances are too few for --{side} {share:g}"
        for side, share in (("val", val), ("test", test))
        if share and not counts[side]
    ]
    unheard = sorted((speakers["val"] | speakers["test"]) - speakers["train"])
    if unheard and sides is None:
        warnings.append(f"speakers without a sentence to train on: {', '.join(unheard[:10])}")
    return CorpusSplit(
        data=str(data),
        by="sentence" if sides is None else "speaker",
        total=counts.total() + left_out,
        splits={
            side: SplitReport(utterances=counts[side], seconds=round(seconds[side], 3)) for side in SPLITS
        },
        speakers={side: len(speakers[side]) for side in SPLITS},
        left_out=left_out,
        warnings=warnings,
    )


def _validating(manifest: Path, val: float, test: float) -> frozenset[float]:
    """The sentences that validate although chance gave them to training, see `FewForValidation`."""
    few = FewForValidation()
    for utterance in read_manifest(manifest):
        few.add(utterance.spoken_text(), split_of(utterance.spoken_text(), val=val, test=test))
    return few.chosen(val=val)


def _assigned(
    manifest: Path, sides: _SpeakerSides | None, val: float, test: float
) -> Iterator[tuple[Utterance, Split, Finding | None]]:
    validating = _validating(manifest, val, test) if sides is None else frozenset()
    for utterance in read_manifest(manifest):
        if sides is None:
            text = utterance.spoken_text()
            split = split_of(text, val=val, test=test)
            yield utterance, "val" if split == "train" and place_of(text) in validating else split, None
            continue
        side = sides.of(utterance)
        other = sides.clash(utterance, side)
        reason = f"a speaker of the {other} split says the same sentence"
        finding = Finding(rule="sentence-on-other-side", reason=reason, value=other) if other else None
        yield utterance, side, finding


def _ledger_row(utterance: Utterance, finding: Finding) -> dict[str, object]:
    return {
        "id": utterance.id,
        "source": utterance.audio_filepath,
        "speaker": utterance.speaker,
        "text": utterance.text,
        **finding.model_dump(),
    }


def _digest(utterance: Utterance) -> bytes:
    return hashlib.blake2b(sentence_key(utterance.spoken_text()).encode(), digest_size=8).digest()


def _place(speaker: str) -> float:
    """Where a speaker stands between 0 and 1, whoever else is in the corpus."""
    digest = hashlib.blake2b(speaker.encode(), digest_size=8, person=b"amtts-speaker").digest()
    return int.from_bytes(digest, "big") / 2**64
