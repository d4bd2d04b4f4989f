"""The transcripts of a prepared corpus held against what a recognizer reads: doubtful ones are flagged or rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.audio.io import read_audio
from amtts_core.contract.recognizer import FrameRecognizer
from amtts_core.corpus.ledger import LEDGER, MANIFEST
from amtts_core.corpus.manifest import Utterance, read_manifest
from amtts_core.corpus.split import SPLITS
from amtts_core.errors import AmttsError
from amtts_core.evaluation.cache import ScoreCache, content_key
from amtts_core.evaluation.transcripts import Doubt, doubts
from amtts_core.storage.json_lines import read_json_lines, write_jsonl

FINDINGS = "transcripts.jsonl"
CACHE = "transcripts.sqlite"
RULE = "transcript"
TOGETHER = 32
"""Utterances recognized at a time."""
ACTIONS = ("flag", "reject")


@dataclass(frozen=True)
class TranscriptCheck:
    """What was found: utterances that were read, and those that are doubtful, with their places."""

    checked: int
    doubtful: dict[str, list[Doubt]]


def check_corpus(
    corpus: Path,
    recognizer: FrameRecognizer,
    *,
    action: str = "reject",
    max_doubtful: float = 0.3,
    on_progress: Callable[[int], None] | None = None,
) -> TranscriptCheck:
    """Reads every utterance of a prepared corpus and changes its tables.

    `transcripts.jsonl` tells of each doubtful utterance which words differ. With "flag" it stays in the manifest and
    gets the flag `transcript`; with "reject" it moves into the ledger. What was read is kept by content.

    Args:
        corpus: folder that `amtts prepare` made.
        recognizer: one that gives probabilities of every frame.
        action: what is done about a doubtful utterance.
        max_doubtful: if a larger share is doubtful, the recognizer does not read this speech and nothing is changed.
        on_progress: called with the number of utterances read so far.

    Raises:
        AmttsError: an unknown action, no corpus, or too many doubtful utterances.
    """
    if action not in ACTIONS:
        raise AmttsError(f"doubtful transcripts can be: {', '.join(ACTIONS)}; got '{action}'")
    manifest = corpus / MANIFEST
    rows = list(read_manifest(manifest))
    if not rows:
        raise AmttsError(f"manifest {manifest} holds no utterance", remedy="Run `amtts prepare` first")
    cache = ScoreCache(corpus / CACHE)
    try:
        found = dict(_doubtful(rows, manifest, recognizer, cache, on_progress))
    finally:
        cache.close()
    if len(found) > max_doubtful * len(rows):
        raise AmttsError(
            f"{len(found)} of {len(rows)} transcripts are doubtful, more than {max_doubtful:.0%}: recognizer "
            f"'{recognizer.name}' does not read this speech, and nothing was changed",
            remedy="Give one that was trained on such speech: --check-transcripts DIR",
        )
    texts = {row.id: row for row in rows}
    write_jsonl(corpus / FINDINGS, [_finding(texts[name], places) for name, places in found.items()])
    _apply(corpus, texts, found, action)
    return TranscriptCheck(len(rows), found)


def _doubtful(
    rows: Sequence[Utterance],
    manifest: Path,
    recognizer: FrameRecognizer,
    cache: ScoreCache,
    on_progress: Callable[[int], None] | None,
) -> Iterator[tuple[str, list[Doubt]]]:
    left, done = iter(rows), 0
    while batch := list(islice(left, TOGETHER)):
        waves = [_waveform(row, manifest, recognizer) for row in batch]
        keys = [
            content_key("doubts 1", recognizer.identity, row.spoken_text(), wave)
            for row, wave in zip(batch, waves, strict=True)
        ]
        stored = cache.get_all(keys)
        wanted = [number for number, value in enumerate(stored) if value is None]
        for number, emissions in zip(wanted, recognizer.emissions([waves[n] for n in wanted]), strict=True):
            places = doubts(emissions, batch[number].spoken_text().split(), recognizer)
            stored[number] = [vars(place) for place in places]
            cache.put(keys[number], stored[number])
        for row, values in zip(batch, stored, strict=True):
            if values:
                yield row.id, [Doubt(**value) for value in values]
        done += len(batch)
        if on_progress:
            on_progress(done)


def _waveform(row: Utterance, manifest: Path, recognizer: FrameRecognizer) -> np.ndarray:
    return read_audio(
        row.audio_path(manifest), sample_rate=recognizer.sample_rate, offset=row.offset, duration=row.duration
    )


def _finding(row: Utterance, places: Sequence[Doubt]) -> dict[str, Any]:
    return {"id": row.id, "text": row.spoken_text(), "doubts": [vars(place) for place in places]}


def reason_of(places: Sequence[Doubt]) -> str:
    """The places in one sentence."""
    messages = {
        "wrong": lambda d: f"'{d.word}' was recognized as '{d.heard}'",
        "not recorded": lambda d: f"'{d.word}' is not in the recording",
        "not in the text": lambda d: (
            f"'{d.heard}' is said after '{d.word}'" if d.word else f"'{d.heard}' is said first"
        ),
    }
    return "; ".join(messages[place.kind](place) for place in places)


def _apply(corpus: Path, rows: dict[str, Utterance], found: dict[str, list[Doubt]], action: str) -> None:
    """Rewrites the tables; the ledger is complete before the first row leaves the manifest."""
    if action == "reject" and found:
        ledger = corpus / LEDGER
        before = [
            row for row in (read_json_lines(ledger) if ledger.is_file() else []) if row.get("rule") != RULE
        ]
        new = [
            {
                "id": name,
                "where": name,
                "source": (rows[name].model_extra or {}).get("source", rows[name].audio_filepath),
                "speaker": rows[name].speaker,
                "text": rows[name].text,
                "rule": RULE,
                "reason": reason_of(places),
            }
            for name, places in found.items()
        ]
        write_jsonl(ledger, [*before, *new])
    for name in (MANIFEST, *(f"{split}.jsonl" for split in SPLITS)):
        table = corpus / name
        if table.is_file():
            write_jsonl(table, _changed(read_json_lines(table), found, action))


def _changed(
    table: Iterator[dict[str, Any]], found: dict[str, list[Doubt]], action: str
) -> Iterator[dict[str, Any]]:
    for row in table:
        if row["id"] not in found:
            yield row
        elif action == "flag":
            yield row | {"flags": [*(f for f in row.get("flags", []) if f != RULE), RULE]}
