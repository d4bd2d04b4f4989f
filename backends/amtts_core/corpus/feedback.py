"""Corrected pronunciations (pairs of recording and text) as a corpus to go on learning from.

What is wrong with a pair is listed, pair by pair. `data.replay` mixes what is left with utterances of the original
corpus, so that a voice does not forget them over a handful of words.
"""

from __future__ import annotations

import json
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.corpus.manifest import Utterance, read_manifest
from amtts_core.corpus.prepare import prepare_corpus
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import read_json_lines, write_jsonl

CORRECTED = "corrected.jsonl"
SLOWEST, FASTEST = 0.3, 2.5
"""Plausible pace of a corrected word, times the original corpus' median of letters a second. A word said alone is
slower than one in a sentence, and its margins count more."""


@dataclass(frozen=True)
class FeedbackCorpus:
    """A corpus folder with `train.jsonl` and `corrected.jsonl` (the corrections), and `val.jsonl`.

    Attributes:
        folder: where it is.
        corrected: pairs that are learnt from.
        rejected: `where`, `rule` and `reason` of each pair that is not.
    """

    folder: Path
    corrected: int
    rejected: list[dict[str, str]]


def make_feedback_corpus(
    source: Path,
    out: Path,
    *,
    original: Path,
    tokenizer: TextTokenizer | None,
    jobs: int = 1,
) -> FeedbackCorpus:
    """Checks the pairs in `source` and writes the corpus into `out`, anew each time.

    The audio is levelled and the text normalized as in the original corpus. Validation judges the original validation
    set and the corrections together, so the best checkpoint is one that knows both.

    Args:
        source: folder with x.wav and x.txt; in folders by speaker where there are several.
        out: folder to write.
        original: the corpus that the voice learnt from.
        tokenizer: what the voice can read; None where it learns without text.
        jobs: processes.

    Raises:
        AmttsError: no folder, no pair, or none of them can be learnt from; the reasons are in the message.
    """
    if not source.is_dir():
        raise AmttsError(
            f"--feedback {source} is not a folder", remedy="Put each corrected word there as x.wav and x.txt"
        )
    old = list(read_manifest(original / "train.jsonl"))
    settings = _settings(original, _median_pace(old))
    try:
        prepare_corpus(source, out, settings, importer="wav-txt", jobs=jobs, force=True)
    except AmttsError as error:
        rejected = _ledger(out)
        raise error if not rejected else _nothing_left(source, rejected) from None
    rejected, kept = _ledger(out), []
    speakers = sorted({row.speaker for row in old})
    for row in read_manifest(out / "manifest.jsonl"):
        speaker = speakers[0] if len(speakers) == 1 else row.speaker
        strange = _strange(row.spoken_text(), tokenizer)
        if strange:
            reason = f"the voice has no symbol for {' '.join(repr(sign) for sign in strange)}"
            rejected.append({"where": row.id, "rule": "unknown-symbol", "reason": reason})
        elif speaker not in speakers:
            reason = f"speaker '{speaker}' is not one of {', '.join(speakers)}, whose names folders must have"
            rejected.append({"where": row.id, "rule": "unknown-speaker", "reason": reason})
        else:
            kept.append(row.model_copy(update={"id": f"corrected-{row.id}", "speaker": speaker}))
    if not kept:
        raise _nothing_left(source, rejected)
    validation = kept
    if (original / "val.jsonl").is_file():
        validation = [*(_moved(row, original, out) for row in read_manifest(original / "val.jsonl")), *kept]
    write_jsonl(out / CORRECTED, kept)
    write_jsonl(out / "train.jsonl", kept)
    write_jsonl(out / "val.jsonl", validation)
    return FeedbackCorpus(out, len(kept), rejected)


def _settings(original: Path, pace: float) -> PrepareSettings:
    """Those of the original corpus, with the rules that suit single words."""
    stored: dict[str, Any] = {}
    file = original / "prepare.json"
    if file.is_file():
        try:
            stored = dict(json.loads(file.read_text(encoding="utf-8"))["settings"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AmttsError(
                f"{file} does not say how the corpus was made ({type(error).__name__}: {error})",
                remedy="Run `amtts prepare` again",
            ) from None
    return PrepareSettings.model_validate(
        {
            **stored,
            "val": 0.0,
            "test": 0.0,
            "max_rejected": 1.0,
            "repeated_text": True,
            "pace": "off",
            "min_letters_per_second": round(SLOWEST * pace, 2),
            "max_letters_per_second": round(FASTEST * pace, 2) or 100.0,
        }
    )


def _median_pace(rows: list[Utterance]) -> float:
    """Letters a second; 0 for an empty corpus."""
    paces = [sum(sign.isalpha() for sign in row.spoken_text()) / row.duration for row in rows]
    return statistics.median(paces) if paces else 0.0


def _ledger(out: Path) -> list[dict[str, str]]:
    file = out / "rejected.jsonl"
    if not file.is_file():
        return []
    rows = read_json_lines(file)
    return [{name: str(row[name]) for name in ("where", "rule", "reason")} for row in rows]


def _nothing_left(source: Path, rejected: list[dict[str, str]]) -> AmttsError:
    reasons = "; ".join(f"{row['where']}: {row['reason']}" for row in rejected[:5])
    more = f" and {len(rejected) - 5} more" if len(rejected) > 5 else ""
    return AmttsError(
        f"--feedback {source}: none of {len(rejected)} pairs can be learnt from: {reasons}{more}",
        remedy="Each recording needs a text file of the same name that says what is heard",
    )


def _strange(text: str, tokenizer: TextTokenizer | None) -> list[str]:
    """Characters that the tokenizer has no symbol for."""
    if tokenizer is None or tokenizer.unk_id not in tokenizer.encode(text):
        return []
    return sorted({sign for sign in text if tokenizer.unk_id in tokenizer.encode(sign)}) or [text]


def _moved(row: Utterance, original: Path, out: Path) -> Utterance:
    """A row of the original corpus as it stands in a manifest in `out`."""
    path = row.audio_path(original / "train.jsonl")
    return row.model_copy(update={"audio_filepath": os.path.relpath(path.resolve(), out.resolve())})
