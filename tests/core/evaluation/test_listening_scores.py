"""Scores of listening tests against listeners and texts that were drawn with a known spread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from amtts_core.errors import AmttsError
from amtts_core.evaluation.listening.score import score

LISTENERS, TEXTS = 12, 15
BY_LISTENER, BY_TEXT, BY_ANSWER = 0.4, 0.3, 0.8
"""Standard deviations of the three causes for an answer to differ."""


def write_answers(folder: Path, rng: np.random.Generator, truth: float) -> Path:
    """A MOS test of one system whose true mean is known, and its key."""
    key = folder / "listening-key.json"
    sounds = {f"s{text}": {"system": "voice", "id": f"t{text}"} for text in range(TEXTS)}
    key.write_text(json.dumps({"test": "x", "kind": "mos", "sounds": sounds}))
    texts = rng.normal(0, BY_TEXT, TEXTS)
    for listener in range(LISTENERS):
        own = truth + rng.normal(0, BY_LISTENER) + texts + rng.normal(0, BY_ANSWER, TEXTS)
        answers = [
            {"trial": f"t{n}", "order": [f"s{n}"], "scores": {f"s{n}": value}} for n, value in enumerate(own)
        ]
        found = {"test": "x", "kind": "mos", "listener": f"l{listener}", "answers": answers}
        (folder / f"l{listener}.json").write_text(json.dumps(found))
    return key


def test_the_interval_holds_the_truth_and_is_as_wide_as_it_has_to_be(tmp_path: Path) -> None:
    """Width as the variance of a mean over crossed listeners and texts gives it (analysis of variance, by hand)."""
    inside, halves = 0, []
    for trial in range(60):
        key = write_answers(tmp_path, np.random.default_rng(trial), 3.5)
        found = score(key, [tmp_path]).systems["voice"]
        inside += found.low <= 3.5 <= found.high
        halves.append((found.high - found.low) / 2)
    parts = (BY_LISTENER**2 / LISTENERS, BY_TEXT**2 / TEXTS, BY_ANSWER**2 / (LISTENERS * TEXTS))
    assert inside >= 52  # 95 % of 60 is 57
    assert np.mean(halves) == pytest.approx(1.96 * np.sqrt(sum(parts)), rel=0.15)


def test_a_key_that_is_not_there_and_a_damaged_answer_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(
        AmttsError, match=r"listening-key.json cannot be read: No such file or directory\. Give the"
    ):
        score(tmp_path / "listening-key.json", [tmp_path])
    key = write_answers(tmp_path, np.random.default_rng(0), 3.5)
    (tmp_path / "l0.json").write_text('{"test": "x", ')
    with pytest.raises(AmttsError, match=r"l0.json is no valid JSON"):
        score(key, [tmp_path])
