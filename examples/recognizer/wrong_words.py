"""How many planted mistakes in transcripts are found, and how many right transcripts are doubted.

    python examples/recognizer/wrong_words.py CORPUS [CORPUS ...] [--recognizer DIR]

CORPUS holds metadata.csv with audio_file|text, as examples/corpus/make_corpus.py writes it. In about a third of the
transcripts of four words or more, one word is replaced by another of the corpora, left out, or added.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path

from amtts_core.audio.io import read_audio
from amtts_core.contract.recognizer_registry import frame_recognizer
from amtts_core.evaluation.transcripts import doubts
from amtts_core.text.normalizer import Normalizer

SHARE = 0.35
KINDS = ("replaced", "left out", "added")


def plant(words: list[str], vocabulary: list[str], chance: random.Random) -> tuple[list[str], str]:
    """The words, with one of them wrong or none, and what was done."""
    if len(words) < 4 or chance.random() >= SHARE:
        return words, ""
    place, kind = chance.randrange(len(words)), chance.choice(KINDS)
    other = [] if kind == "left out" else [chance.choice(vocabulary)]
    return [*words[:place], *other, *words[place + (kind != "added") :]], kind


def main() -> None:
    """Prints the counts, and each mistake that was not found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="+", type=Path)
    parser.add_argument("--recognizer", default="")
    options = parser.parse_args()
    recognizer, normalize, chance = frame_recognizer(options.recognizer), Normalizer(), random.Random(1)
    rows = []
    for corpus in options.corpora:
        for line in (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:]:
            name, text = line.split("|")[:2]
            rows.append((corpus / name, normalize(text).split()))
    vocabulary = [word.strip("።፣?!") for _, words in rows for word in words if len(word) > 2]
    planted: Counter[str] = Counter()
    doubted: Counter[str] = Counter()
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        waves = [read_audio(path, sample_rate=recognizer.sample_rate) for path, _ in part]
        for (path, words), emissions in zip(part, recognizer.emissions(waves), strict=True):
            given, kind = plant(words, vocabulary, chance)
            found = bool(doubts(emissions, given, recognizer))
            planted[kind] += 1
            doubted[kind] += found
            if kind and not found:
                print(f"not found in {path}: {kind}: {' '.join(given)}")
    for kind in KINDS:
        print(f"{kind}: {doubted[kind]} of {planted[kind]} found")
    print(f"right transcripts: {doubted['']} of {planted['']} doubted")


if __name__ == "__main__":
    main()
