"""The figures that README and the pages state: from `docs/figures.yaml` to docs/figures.md, and whether they hold.

python scripts/figures.py                 write docs/figures.md
python scripts/figures.py --check         is every figure where it is said to stand, and how old is it
python scripts/figures.py --run ID        run its command, and note what it gave, when and at which commit
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCE, PAGE = ROOT / "docs/figures.yaml", ROOT / "docs/figures.md"
REQUIRED = ("id", "claim", "text", "pages", "command", "machine", "seed", "date", "commit", "watches")
OPTIONAL = ("finds", "seconds")
"""The pattern that finds the figure in what the command prints, for `--run`; how long the command ran."""
OLD = 90
"""Days after which a figure should be measured again."""
HEAD = """# Figures and where they come from

Each figure that the pages state, with the command that gives it, the machine, the seed and the commit that was
measured. Other tables (speeds: [Benchmarks](benchmarks.md), parity with official networks: [Parity](parity.md),
experiments: [Log](log.md)) are beside them.

| figure | of | command | machine | seed | measured | stands in |
|---|---|---|---|---|---|---|
"""
FOOT = """
`python scripts/figures.py --check` tells whether every figure still stands where the table says, and which are older
than 90 days or than the code that they depend on; `--run ID` measures one again. The table is written from
`docs/figures.yaml`.
"""

Figure = dict[str, Any]


def read() -> list[Figure]:
    """The figures, in the order of the file; a fault of one ends the program with its name."""
    figures: list[Figure] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    for figure in figures:
        missing = [name for name in REQUIRED if name not in figure]
        unknown = [name for name in figure if name not in (*REQUIRED, *OPTIONAL)]
        if missing or unknown:
            sys.exit(f"error: {SOURCE.name}, {figure.get('id')}: missing {missing}, unknown {unknown}")
    return figures


def page(figures: list[Figure]) -> str:
    """Text of docs/figures.md."""
    lines = []
    for figure in figures:
        places = ", ".join(f"[{place}]({link(place)})" for place in figure["pages"])
        took = f", {figure['seconds'] / 60:.1f} min" if "seconds" in figure else ""
        cells = [f"**{figure['text'].strip('*')}**", figure["claim"], f"`{figure['command']}`"]
        cells += [figure["machine"], str(figure["seed"])]
        cells += [f"{figure['date']}, {figure['commit']}{took}", places]
        lines.append("| " + " | ".join(cells) + " |\n")
    return HEAD + "".join(lines) + FOOT


def link(place: str) -> str:
    """The way from docs/ to a file of the repository."""
    return place.removeprefix("docs/") if place.startswith("docs/") else f"../{place}"


def misplaced(figures: list[Figure]) -> list[str]:
    """Figures that do not stand, word for word, in a page that is said to state them."""
    return [
        f"{figure['id']}: {place} does not state {figure['text']!r}"
        for figure in figures
        for place in figure["pages"]
        if figure["text"] not in (ROOT / place).read_text(encoding="utf-8")
    ]


def ages(figures: list[Figure]) -> list[str]:
    """Figures that are older than `OLD` days, or than commits to what they depend on."""
    told = []
    for figure in figures:
        days = (datetime.date.today() - datetime.date.fromisoformat(figure["date"])).days
        span = f"{figure['commit']}..HEAD"
        command = ["git", "rev-list", "--count", "--no-merges", span, "--", *figure["watches"]]
        counted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        since = int(counted.stdout) if counted.returncode == 0 else None
        if days > OLD:
            told.append(f"{figure['id']}: {days} days old")
        if since is None:
            told.append(f"{figure['id']}: commit {figure['commit']} is not in this repository")
        elif since:
            told.append(
                f"{figure['id']}: {since} commits to {', '.join(figure['watches'])} since {figure['commit']}"
            )
    return told


def run(figures: list[Figure], name: str) -> None:
    """Measures one figure and writes it into docs/figures.yaml; the pages that state it are named."""
    figure = next((figure for figure in figures if figure["id"] == name), None)
    if figure is None or "finds" not in figure:
        known = ", ".join(figure["id"] for figure in figures if "finds" in figure)
        sys.exit(f"error: --run {name}: no figure that a command gives by itself; there are: {known}")
    began = time.monotonic()
    done = subprocess.run(
        figure["command"], shell=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    found = re.search(figure["finds"], done.stdout)
    if done.returncode or not found:
        sys.exit(
            f"error: `{figure['command']}` ended with {done.returncode} and {'a' if found else 'no'} figure"
        )
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    noted = {
        "text": found.group(1),
        "date": datetime.date.today().isoformat(),
        "commit": head.stdout.strip(),
        "seconds": round(time.monotonic() - began),
    }
    SOURCE.write_text(replaced(SOURCE.read_text(encoding="utf-8"), name, noted), encoding="utf-8")
    print(
        f"{name}: was {figure['text']}, is {found.group(1)} (on {platform.processor() or platform.machine()})"
    )
    print(f"now say so in {', '.join(figure['pages'])}, and run: python scripts/figures.py")


def replaced(source: str, name: str, noted: dict[str, Any]) -> str:
    """The file with new values for one figure; everything else, comments too, stays as it is."""
    head, begin, rest = source.partition(f"- id: {name}\n")
    block, following, tail = rest.partition("\n- id: ")
    for key, value in noted.items():
        line = f"  {key}: {yaml.safe_dump(value, allow_unicode=True).splitlines()[0]}"
        block, count = re.subn(rf"(?m)^  {key}: .*$", lambda _, line=line: line, block)
        if not count:
            block = block.rstrip("\n") + f"\n{line}" + ("" if following else "\n")
    return head + begin + block + following + tail


def main() -> None:
    """Writes, checks or measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="exit code 1 where a page does not state its figure"
    )
    parser.add_argument("--run", metavar="ID", help="measure this one again")
    asked = parser.parse_args()
    figures = read()
    if asked.run:
        run(figures, asked.run)
    elif asked.check:
        wrong = misplaced(figures)
        print(
            "\n".join([*wrong, *(f"old: {line}" for line in ages(figures))])
            or "every figure stands where it should"
        )
        sys.exit(bool(wrong))
    else:
        PAGE.write_text(page(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
