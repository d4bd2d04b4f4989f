"""Joins corpora into one source folder for a vocoder: some speakers left out, every recording at several paces.

Playing a recording faster or slower moves its pitch and its formants together, so each pace counts as a speaker of its
own: a vocoder that is to serve strangers has to meet many voices.

    python examples/vocoders/mix_corpus.py --out MIX --source real=REAL --source synthetic=examples/corpus:120 \
        --leave-out alffa05,alffa098 --paces 1,0.87,1.15
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import soundfile
import soxr

RATE = 22050


def rows_of(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """File, text and speaker of each row of a folder's `metadata.csv`, whose columns are split by `|`."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as table:
        reader = csv.reader(table, delimiter="|", quoting=csv.QUOTE_NONE)
        head = next(reader)
        for row in reader:
            named = dict(zip(head, row, strict=False))
            file = named.get("file") or named.get("audio_file") or row[0]
            path = next(p for p in (folder / file, folder / "audio" / file) if p.is_file())
            yield path, named["text"], named.get("speaker") or named.get("speaker_name") or ""


def few_of_each(rows: list[tuple[Path, str, str]], most: int) -> list[tuple[Path, str, str]]:
    """The first rows of each speaker."""
    seen: Counter[str] = Counter()
    kept = []
    for row in rows:
        seen[row[2]] += 1
        if seen[row[2]] <= most:
            kept.append(row)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", action="append", required=True, metavar="NAME=FOLDER[:COUNT]")
    parser.add_argument("--leave-out", default="", help="speakers that are not taken, separated by commas")
    parser.add_argument("--paces", default="1", help="factors of the pace, separated by commas")
    parser.add_argument("--each", type=int, default=0, help="recordings of a speaker at most; 0 takes all")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    left_out = set(filter(None, options.leave_out.split(",")))  # '' is the speaker of rows that name none
    (options.out / "audio").mkdir(parents=True)
    with (options.out / "metadata.csv").open("w", encoding="utf-8") as table:
        table.write("audio_file|text|speaker_name\n")
        for source in options.source:
            name, _, place = source.partition("=")
            folder, _, count = place.partition(":")
            rows = [row for row in rows_of(Path(folder)) if row[2] not in left_out]
            rows = rows[: int(count or len(rows))]
            if options.each:
                rows = few_of_each(rows, options.each)
            for number, (path, text, speaker) in enumerate(rows):
                sound, rate = soundfile.read(path, dtype="float32")
                for pace in options.paces.split(","):
                    moved = soxr.resample(sound, rate * float(pace), RATE, quality="VHQ")
                    file = f"{name}_{number:04d}_{pace}.flac"
                    soundfile.write(options.out / "audio" / file, moved, RATE)
                    table.write(f"{file}|{text}|{name}-{speaker or 'one'}-{pace}\n")


if __name__ == "__main__":
    main()
