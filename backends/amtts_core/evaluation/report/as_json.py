"""An evaluation as one JSON object, and back for comparisons."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amtts_core.evaluation.evaluate import Evaluation
from amtts_core.evaluation.intervals import Estimate
from amtts_core.evaluation.summary import Finding, Summary
from amtts_core.storage.atomic import replace_text

FORMAT = 1
MOST_CONFUSIONS = 200


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that was measured, JSON-able."""
    return {
        "format": FORMAT,
        "recognizer": evaluation.recognizer,
        "systems": evaluation.systems,
        "skipped": evaluation.skipped,
        "silent": evaluation.silent,
        "seconds": round(evaluation.seconds, 1),
        "summaries": [_summary(summary) for summary in evaluation.summaries],
        "findings": [_finding(finding) for finding in evaluation.findings],
        "rows": [row.as_dict() for rows in evaluation.rows.values() for row in rows],
    }


def _estimate(estimate: Estimate) -> list[float | int]:
    """Value, low, high, count."""
    return [estimate.value, estimate.low, estimate.high, estimate.count]


def _summary(summary: Summary) -> dict[str, Any]:
    common = summary.confusions.most_common(MOST_CONFUSIONS)
    return {
        "system": summary.system,
        "subset": summary.subset,
        "utterances": summary.utterances,
        "figures": {name: _estimate(estimate) for name, estimate in summary.figures.items()},
        "confusions": [[said, heard, count] for (said, heard), count in common],
        "consonants": [[said, heard, count] for (said, heard), count in summary.consonants.most_common()],
        "ejectives": summary.ejectives,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        **{name: value for name, value in asdict(finding).items() if name != "comparison"},
        "difference": _estimate(finding.comparison.difference),
        "p_value": finding.comparison.p_value,
    }


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Writes `report.json`, complete or not at all."""
    replace_text(path, json.dumps(as_dict(evaluation), ensure_ascii=False, indent=1) + "\n")
