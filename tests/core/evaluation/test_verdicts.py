"""What is called better, worse or different."""

from __future__ import annotations

import pytest

from amtts_core.evaluation.measures import Row
from amtts_core.evaluation.summary import compare


def rows(system: str, figure: str, values: list[float]) -> list[Row]:
    return [
        Row(
            system=system,
            id=f"{n}",
            category="",
            text="ሰላም",
            reference="ሰላም",
            audio="",
            figures={figure: value},
        )
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("first", "figure", "change", "verdict"),
    [
        ("old", "distillmos", 0.5, "better"),
        ("old", "distillmos", -0.5, "worse"),
        ("old", "distillmos", 0.1, ""),  # significant, and not worth a word
        ("recordings", "distillmos", 0.5, ""),
        ("recordings", "distillmos", -0.5, "worse"),
        ("recordings", "speaker_similarity", 0.3, ""),
        ("old", "sound_after", 0.5, "worse"),
        ("old", "loudness_lufs", -4.0, "different"),
    ],
)
def test_a_verdict_needs_a_change_that_matters(first: str, figure: str, change: float, verdict: str) -> None:
    base = [2.0 + 0.01 * n for n in range(12)]
    changed = [value + change for value in base]
    (finding,) = compare(rows(first, figure, base), rows("new", figure, changed))
    assert finding.verdict == verdict


def test_chance_is_no_verdict() -> None:
    (finding,) = compare(rows("old", "distillmos", [2, 3, 2, 3]), rows("new", "distillmos", [3, 2, 3, 2.9]))
    assert finding.verdict == ""
