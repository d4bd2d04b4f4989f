"""Golden rows: the package's own, and the shared tables where a checkout has them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from amtts_core.text.normalizer import Normalizer, NormalizerSettings

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "reference"
UNFOLDED = Normalizer(NormalizerSettings(fold_homophones=False, fold_labialised=False))
FOLDED = Normalizer()


def own_rows() -> list[tuple[str, str, str]]:
    rows = []
    for path in sorted(GOLDEN.glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                text, expected, rule = line.split("\t")
                rows.append((text, expected, f"{path.stem}: {rule}"))
    return rows


def shared_rows(name: str, text: str, expected: str) -> list[tuple[str, list[str]]]:
    path = SHARED / name
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        table = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row[text], [row[expected], *alternatives(row.get("alternatives") or "")]) for row in table]


def alternatives(cell: str) -> list[str]:
    """The listed alternatives without the remarks in brackets."""
    return [part.strip() for part in re.split("[,;]", re.sub(r"\([^)]*\)", "", cell)) if part.strip()]


@pytest.mark.parametrize(("text", "expected", "rule"), own_rows())
def test_own_rows(text: str, expected: str, rule: str) -> None:
    assert UNFOLDED(text) == expected, rule
    assert FOLDED(text) == FOLDED(expected), rule


@pytest.mark.skipif(not SHARED.exists(), reason="this checkout has no shared reference tables")
@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("numbers.tsv", "input", "words"), ("abbreviations.tsv", "abbrev", "expansion")],
)
@pytest.mark.parametrize("normalizer", [UNFOLDED, FOLDED], ids=["unfolded", "folded"])
def test_every_shared_row(name: str, text: str, expected: str, normalizer: Normalizer) -> None:
    rows = shared_rows(name, text, expected)
    wrong = [
        (written, normalizer(written), readings)
        for written, readings in rows
        if normalizer(written) not in [normalizer(reading) for reading in readings]
    ]
    assert rows
    assert not wrong


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.tsv")), ids=lambda path: path.stem)
def test_every_golden_file_names_its_source(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# Own rows")
