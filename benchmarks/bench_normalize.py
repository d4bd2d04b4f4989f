"""Sentences a second and core of the normalizer, one process: typical text with and without digits and Latin words.

    python benchmarks/bench_normalize.py [SENTENCES.tsv] [--repeat 3]

The file holds one sentence a line, in its last tab-separated column. Sentences with digits are read as they are where
the file has at least 200; otherwise a year, a date, a price or a time is written into the others. For the third line a
Latin word is added to those.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from amtts_core.text.normalizer import Normalizer, NormalizerSettings

INSERTED = ("በ1984 ዓ.ም.", "27/4/93", "12.50 ብር", "ከቀኑ 8፡30 ሰዓት", "365 ሰዎች", "3ኛ ደረጃ", "25% ", "ከ10-20 ቀን")
LATIN = (
    "Google",
    "የGermany",
    "Telegram",
    "COVID-19",
    "UN",
    "Manchester",
    "meeting",
    "selam",
    "ICT",
    "በTwitter",
)


def rate(normalizer: Normalizer, sentences: list[str], repeat: int) -> float:
    """Sentences a second of processor time, the best of `repeat` runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        for sentence in sentences:
            normalizer(sentence)
        best = min(best, time.process_time() - start)
    return len(sentences) / best


def main() -> None:
    """Prints one line per kind of text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = Path(__file__).parents[1] / "examples" / "corpus" / "sentences.txt"
    parser.add_argument("sentences", type=Path, nargs="?", default=default)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    lines = [
        line.split("\t")[-1] for line in arguments.sentences.read_text(encoding="utf-8").splitlines() if line
    ]
    plain = [line for line in lines if not any(character.isdigit() for character in line)]
    digits = [line for line in lines if any(character.isdigit() for character in line)]
    if len(digits) < 200:
        digits = [f"{INSERTED[n % len(INSERTED)]} {line}" for n, line in enumerate(plain)]
    latin = [f"{line} {LATIN[n % len(LATIN)]}" for n, line in enumerate(digits)]
    normalizer = Normalizer(NormalizerSettings())
    kinds = (("without digits", plain), ("with digits", digits), ("with digits and a Latin word", latin))
    for name, chosen in kinds:
        mean = sum(map(len, chosen)) / len(chosen)
        speed = rate(normalizer, chosen, arguments.repeat)
        print(
            f"{name}: {speed:,.0f} sentences/s ({len(chosen):,} sentences, {mean:.0f} characters on average)"
        )


if __name__ == "__main__":
    main()
