"""How many written forms are read right: tables of `written<TAB>right<TAB>also right;also right`.

    python benchmarks/bench_readings.py TABLE.tsv [TABLE.tsv ...]

A row is right where its reading equals one of the right ones after both are normalized (homophones folded). Rows that
are read by guess are counted; wrong rows are shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from amtts_core.text import Normalizer


def rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each written form with its right readings."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            written, *cells = line.split("\t")
            yield (
                written,
                [reading.strip() for cell in cells for reading in cell.split(";") if reading.strip()],
            )


def main() -> None:
    """Prints a line per table, with the wrong rows under it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+")
    normalizer = Normalizer()
    for path in parser.parse_args().tables:
        table = list(rows(path))
        readings = [(written, normalizer.read(written), right) for written, right in table]
        wrong = [
            (written, reading.text, right)
            for written, reading, right in readings
            if reading.text not in map(normalizer, right)
        ]
        guessed = sum(bool(reading.guesses) for _written, reading, _right in readings)
        share = 1 - len(wrong) / max(1, len(table))
        print(
            f"{path.name}: {len(table) - len(wrong)} of {len(table)} right ({share:.1%}), {guessed} by guess"
        )
        for written, got, right in wrong:
            print(f"  {written} | {got} | {'; '.join(right)}")


if __name__ == "__main__":
    main()
