"""What listeners sent back, as scores of systems with intervals.

Intervals resample listeners and texts, both with replacement (Owen 2007), because answers of one listener, and answers
about one text, belong together.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amtts_core.errors import AmttsError
from amtts_core.evaluation.intervals import CONFIDENCE, RESAMPLES, Estimate
from amtts_core.evaluation.systems import RECORDINGS

REFERENCE_FLOOR, REFERENCE_SHARE = 90, 0.15
"""ITU-R BS.1534-3: who rates the hidden reference under 90 in more than 15 % of the trials is left out."""


@dataclass(frozen=True)
class Preference:
    """An A/B result: how often each was chosen, ties apart, and the exact binomial p value."""

    first: str
    second: str
    first_chosen: int
    second_chosen: int
    ties: int
    p_value: float


@dataclass(kw_only=True)
class Scores:
    """What a listening test found.

    Attributes:
        kind: of the test.
        listeners: whose answers count.
        left_out: listener -> why not.
        systems: system -> mean score with interval (MOS, MUSHRA).
        preferences: of pairs (A/B).
    """

    kind: str
    listeners: list[str]
    left_out: dict[str, str] = field(default_factory=dict)
    systems: dict[str, Estimate] = field(default_factory=dict)
    preferences: list[Preference] = field(default_factory=list)


@dataclass(frozen=True)
class _Rating:
    listener: str
    text: str
    system: str
    value: float


def score(key: Path, results: Sequence[Path], *, seed: int = 0) -> Scores:
    """Scores the answers in `results` (files or folders of files) by the key of the test.

    Raises:
        AmttsError: a file cannot be read or belongs to another test, or there is no answer.
    """
    read_key = _read(key)
    sounds = read_key.get("sounds")
    if not isinstance(sounds, dict):
        raise AmttsError(
            f"{key} is no key of a listening test", remedy="Give the listening-key.json of the test"
        )
    files = [file for path in results for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    answers = {}
    for file in files:
        if file.resolve() == key.resolve():
            continue
        found = _read(file)
        if found.get("test") != read_key["test"]:
            raise AmttsError(
                f"{file} holds answers of test {found.get('test')!r}, the key is of {read_key['test']!r}"
            )
        name = str(found["listener"])
        answers[name if name not in answers else f"{name} ({file.stem})"] = found["answers"]
    if not any(answers.values()):
        raise AmttsError(
            "no answers to score", remedy="Give the files that listeners saved: --collect FOLDER"
        )
    if read_key["kind"] == "ab":
        return _preferences(answers, sounds)
    ratings = [
        _Rating(listener, sounds[name]["id"], sounds[name]["system"], float(value))
        for listener, given in answers.items()
        for answer in given
        for name, value in answer["scores"].items()
    ]
    left_out = _unreliable(ratings) if read_key["kind"] == "mushra" else {}
    kept = [rating for rating in ratings if rating.listener not in left_out]
    scores = Scores(
        kind=read_key["kind"], listeners=[n for n in answers if n not in left_out], left_out=left_out
    )
    for system in dict.fromkeys(rating.system for rating in kept):
        scores.systems[system] = _two_way([r for r in kept if r.system == system], seed)
    return scores


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AmttsError(
            f"{path} cannot be read: {error.strerror}",
            remedy="Give the folder that --listening-test made, and files that listeners saved",
        ) from None
    except ValueError as error:
        raise AmttsError(f"{path} is no valid JSON: {error}") from None
    if not isinstance(found, dict) or "test" not in found:
        raise AmttsError(f"{path} holds no answers of a listening test")
    return found


def _unreliable(ratings: Sequence[_Rating]) -> dict[str, str]:
    hidden: dict[str, list[float]] = defaultdict(list)
    for rating in ratings:
        if rating.system == RECORDINGS:
            hidden[rating.listener].append(rating.value)
    return {
        listener: f"rated the hidden reference under {REFERENCE_FLOOR} in {share:.0%} of the trials"
        for listener, values in hidden.items()
        if (share := float(np.mean(np.array(values) < REFERENCE_FLOOR))) > REFERENCE_SHARE
    }


def _two_way(ratings: Sequence[_Rating], seed: int) -> Estimate:
    listeners, who = np.unique([r.listener for r in ratings], return_inverse=True)
    texts, which = np.unique([r.text for r in ratings], return_inverse=True)
    values = np.array([r.value for r in ratings])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(listeners), np.full(len(listeners), 1 / len(listeners)), size=RESAMPLES)[
        :, who
    ]
    weights = (
        weights * rng.multinomial(len(texts), np.full(len(texts), 1 / len(texts)), size=RESAMPLES)[:, which]
    )
    total = weights.sum(1)
    means = (weights * values).sum(1)[total > 0] / total[total > 0]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def _preferences(answers: dict[str, list[dict[str, Any]]], sounds: dict[str, dict[str, str]]) -> Scores:
    from scipy.stats import binomtest

    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for given in answers.values():
        for answer in given:
            first, second = sorted(sounds[name]["system"] for name in answer["order"])
            chosen = answer["scores"]["choice"]
            place = 2 if not chosen else [first, second].index(sounds[chosen]["system"])
            counts[first, second][place] += 1
    scores = Scores(kind="ab", listeners=list(answers))
    for (first, second), (one, two, ties) in counts.items():
        p_value = float(binomtest(one, one + two).pvalue) if one + two else 1.0
        scores.preferences.append(Preference(first, second, one, two, ties, p_value))
    return scores
