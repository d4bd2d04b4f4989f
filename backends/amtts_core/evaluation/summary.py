"""Rows of utterances to figures of a system: by subset, each with its interval; and two systems compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from amtts_core.evaluation.intervals import Comparison, Estimate, compare_means, compare_ratios, mean, ratio
from amtts_core.evaluation.items import IN_DOMAIN
from amtts_core.evaluation.measures import Row
from amtts_core.evaluation.systems import RECORDINGS
from amtts_core.evaluation.text_errors import (
    EARLY_STOP,
    RUN_ON,
    TextErrors,
    consonant_confusions,
    ejective_confusions,
)

Part = Callable[[TextErrors], tuple[float, float]]
"""Numerator and denominator of an error rate from one utterance."""

RATES: dict[str, Part] = {
    "cer": lambda e: (e.cer.errors, e.cer.length),
    "cer_substitutions": lambda e: (e.cer.substitutions, e.cer.length),
    "cer_deletions": lambda e: (e.cer.deletions, e.cer.length),
    "cer_insertions": lambda e: (e.cer.insertions, e.cer.length),
    "cer_as_written": lambda e: (e.cer_as_written.errors, e.cer_as_written.length),
    "cer_with_spaces": lambda e: (e.cer_with_spaces.errors, e.cer_with_spaces.length),
    "cer_strict": lambda e: (e.cer_strict.errors, e.cer_strict.length),
    "wer": lambda e: (e.wer.errors, e.wer.length),
    "words_wrong": lambda e: (e.words_wrong, e.words),
    "first_word_wrong": lambda e: (float(e.first_word_wrong), 1.0),
    "run_on": lambda e: (float(e.run_on >= RUN_ON), 1.0),
    "early_stop": lambda e: (float(e.early_stop >= EARLY_STOP), 1.0),
    "skipped_words": lambda e: (float(e.longest_gap >= EARLY_STOP), 1.0),
}
"""Error rates of a set: sums over sums. The last four are shares of utterances."""

LEAST_CHANGE: dict[str, float] = {
    "cer": 0.01,
    "run_on": 0.05,
    "early_stop": 0.05,
    "skipped_words": 0.05,
    "distillmos": 0.2,
    "dnsmos_background": 0.2,
    "speaker_similarity": 0.1,
    "duration_ratio": 0.05,
    "pitch_shift": 1.0,
    "pause_clause": 0.1,
    "pause_sentence": 0.1,
    "sound_after": 0.2,
    "loudness_lufs": 2.0,
    "clipped_share": 0.001,
    "gemination_ratio": 0.15,
}
"""Figures that are judged, and the smallest difference that is worth a word however significant it is."""
MORE_IS_BETTER = ("distillmos", "dnsmos_background", "speaker_similarity", "gemination_ratio")
NOT_ABOVE_RECORDINGS = ("speaker_similarity", "distillmos", "dnsmos_background")
"""Figures of which more than the recordings have is no praise: the floor of similarity is that of two texts, and
predicted naturalness rates some synthetic speech higher with noise or clipping than without."""
EITHER_WAY = ("duration_ratio", "pause_clause", "pause_sentence", "loudness_lufs")
"""Figures whose change either way is a difference, not an improvement."""


@dataclass(kw_only=True)
class Summary:
    """Figures of one system over one subset.

    Attributes:
        system, subset: names.
        utterances: rows.
        figures: name -> estimate.
        confusions: (letter, recognized letter) -> count.
    """

    system: str
    subset: str
    utterances: int
    figures: dict[str, Estimate] = field(default_factory=dict)
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def consonants(self) -> Counter[tuple[str, str]]:
        """Confusions of consonants, by sixth order letters."""
        return consonant_confusions(self.confusions)

    @property
    def ejectives(self) -> dict[str, int]:
        """Confusions of ejective and plain consonants."""
        return ejective_confusions(self.confusions)


def subsets_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """All rows; in-domain and out-of-domain; each category; texts of a single word. Empty ones are left out."""
    found: dict[str, list[Row]] = {"all": list(rows)}
    found[IN_DOMAIN] = [row for row in rows if row.category == IN_DOMAIN]
    found["out-of-domain"] = [row for row in rows if row.category != IN_DOMAIN]
    for row in rows:
        if row.category != IN_DOMAIN:
            found.setdefault(row.category, []).append(row)
    found["single words"] = [row for row in rows if len(row.reference.split()) == 1]
    return {name: subset for name, subset in found.items() if subset}


def summarize(rows: Sequence[Row], *, system: str, subset: str = "all", seed: int = 0) -> Summary:
    """Figures of rows of one system."""
    summary = Summary(system=system, subset=subset, utterances=len(rows))
    errors = [row.errors for row in rows if row.errors is not None]
    for name, part in RATES.items() if errors else ():
        above, below = zip(*(part(e) for e in errors), strict=True)
        summary.figures[name] = ratio(above, below, seed=seed)
    for name in _names(rows):
        summary.figures[name] = mean([row.figures[name] for row in rows if name in row.figures], seed=seed)
    for e in errors:
        summary.confusions.update(e.confusions)
    return summary


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.figures))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One figure in which two systems differ.

    Attributes:
        figure: its name.
        first, second: systems.
        comparison: difference (second minus first) and p value.
        verdict: "worse", "better" or "different", of the second; empty where the difference is small or may be chance.
    """

    figure: str
    first: str
    second: str
    comparison: Comparison
    verdict: str


def compare(first: Sequence[Row], second: Sequence[Row], *, seed: int = 0) -> list[Finding]:
    """Paired comparison of two systems over the items that both have, one finding a judged figure."""
    theirs = {row.id: row for row in second}
    pairs = [(row, theirs[row.id]) for row in first if row.id in theirs]
    found = []
    for name in LEAST_CHANGE:
        comparison = _compare_figure(name, pairs, seed)
        if comparison is not None:
            found.append(
                Finding(
                    figure=name,
                    first=pairs[0][0].system,
                    second=pairs[0][1].system,
                    comparison=comparison,
                    verdict=_verdict(name, comparison, against=pairs[0][0].system),
                )
            )
    return found


def _compare_figure(name: str, pairs: Sequence[tuple[Row, Row]], seed: int) -> Comparison | None:
    if name in RATES:
        both = [(a.errors, b.errors) for a, b in pairs if a.errors is not None and b.errors is not None]
        if not both:
            return None
        part = RATES[name]
        lengths = [part(a)[1] for a, _ in both]
        return compare_ratios(
            [part(a)[0] for a, _ in both], [part(b)[0] for _, b in both], lengths, seed=seed
        )
    values = [(a.figures[name], b.figures[name]) for a, b in pairs if name in a.figures and name in b.figures]
    if not values:
        return None
    return compare_means([a for a, _ in values], [b for _, b in values], seed=seed)


def _verdict(name: str, comparison: Comparison, *, against: str) -> str:
    change = comparison.difference.value
    if not comparison.significant or abs(change) < LEAST_CHANGE[name]:
        return ""
    if against == RECORDINGS and name in NOT_ABOVE_RECORDINGS and change > 0:
        return ""
    if name in EITHER_WAY:
        return "different"
    return "better" if (change > 0) == (name in MORE_IS_BETTER) else "worse"


def worst_first(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Item ids, the worst first: by errors of any system beyond those of the recordings, then by predicted quality."""
    floor = {row.id: row for row in rows.get(RECORDINGS, ())}

    def badness(name: str) -> tuple[float, float]:
        worst, quality = 0.0, 0.0
        for system, of_system in rows.items():
            if system == RECORDINGS:
                continue
            for row in of_system:
                if row.id == name:
                    own = floor[name].errors if name in floor else None
                    base = own.cer.rate if own else 0.0
                    worst = max(worst, (row.errors.cer.rate if row.errors else 0.0) - base)
                    quality = min(quality, row.figures.get("distillmos", 0.0) - 5)
        return -worst, quality

    return sorted({row.id for of_system in rows.values() for row in of_system}, key=badness)
