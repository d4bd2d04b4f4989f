"""What so many minutes of a speaker make of the base voice: speech of an eSpeak NG voice, training, measures, table.

    python examples/base/by_minutes.py WORK --minutes 3,6,12,30
    python examples/base/by_minutes.py WORK --minutes 6 --replay

The base has met the eSpeak voices am, am+f3, am+m3 and am+f5; `--voice` should be another one. Every stage that WORK
already holds is kept, an interrupted training goes on, and the table is written after each training from all that
are there. `--replay` mixes `examples/corpus` (the base's own speaker am) into each training. Needs
`amtts[demo,evaluate]` and what docs/evaluation.md installs.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
AMTTS = (sys.executable, "-m", "amtts_cli")
READ, RARE = 300, 40
"""Composed sentences among those that the speaker reads (about 40 minutes with the bundled ones), and of the test."""
KEPT_BACK = 1.1
"""Recordings that are made for each minute to learn from; `amtts prepare` keeps some for validation and test."""
GROUPS = "text,quality,speaker,prosody"
SHOWN = (("distillmos", "DistillMOS", "{:.2f}"), ("speaker_similarity", "similarity", "{:.2f}"))
SHOWN += (("f0_rmse_hz", "F0 RMSE, Hz", "{:.1f}"), ("voicing_error", "voicing error", "{:.1%}"))


def call(*command: object) -> None:
    """Runs a command; its failure ends the program."""
    subprocess.run([str(part) for part in command], check=True)


def corpus(out: Path, text: Path, voice: str, *how: object) -> Path:
    """Makes and prepares speech of a text, all of it for training where `out` is a test; returns its folder."""
    if not (out / "prepare.json").is_file():
        said = out.with_name(out.name.replace("data", "said"))
        make = (sys.executable, CORPUS / "make_corpus.py", "--text", text, "--voices", voice)
        call(*make, "--format", "flac", "--out", said, *how)
        share = () if how else ("--val", 0, "--test", 0)
        call(*AMTTS, "prepare", said, "--out", out, "--speaker", "new", *share)
    return out


def composed(out: Path, *, count: int, seed: int) -> Path:
    """Sentences that mean nothing and hold rare letters."""
    if not out.is_file():
        script = CORPUS / "compose_sentences.py"
        call(sys.executable, script, "--count", count, "--seed", seed, "--out", out)
    return out


def sentences(work: Path) -> Path:
    """What the speaker reads: the bundled sentences and composed ones, shuffled once."""
    text = work / "text.txt"
    if not text.is_file():
        files = (CORPUS / "sentences.txt", composed(work / "composed.txt", count=READ, seed=7))
        lines = [
            line for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        random.Random(0).shuffle(lines)
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return text


def replayed(work: Path) -> tuple[str, ...]:
    """Settings that mix the bundled corpus in, whose speaker the base calls am."""
    out = work / "data-base"
    if not (out / "prepare.json").is_file():
        share = ("--val", 0, "--test", 0)
        call(*AMTTS, "prepare", CORPUS, "--out", out, "--speaker", "am", *share)
    return ("--set", f"data.replay.data={out}", "--set", "data.replay.ratio=0.3")


def train(data: Path, run: Path, *how: object) -> None:
    """The documented command; `trained.json` in the run says what it cost, over all tries."""
    done, spent = run / "trained.json", run.with_suffix(".spent.json")
    if done.is_file():
        return
    before = json.loads(spent.read_text()) if spent.is_file() else {"wall": 0.0, "processor": 0.0}
    used, began = _children(), time.monotonic()
    start = ["--resume"] if (run / "latest").exists() else ["--from", "base"]
    try:
        call(*AMTTS, "train", *start, "--data", data, "--out", run, *how)
    finally:
        now = {
            "wall": before["wall"] + time.monotonic() - began,
            "processor": before["processor"] + _children() - used,
        }
        spent.write_text(json.dumps(now))
    done.write_text(spent.read_text())


def _children() -> float:
    """Seconds of processor time that finished children have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def evaluate(runs: list[Path], manifest: Path, out: Path, metrics: str, limit: int) -> dict[str, Any]:
    """`amtts evaluate` of all runs side by side; returns its report.json."""
    systems = [part for run in runs for part in ("--checkpoint", run)]
    names = [part for run in runs for part in ("--name", run.name)]
    test = ("--manifest", manifest, "--no-public-list", "--metrics", metrics, "--recognizer", "ctc")
    call(*AMTTS, "evaluate", *systems, *names, *test, "--out", out, "--limit", limit)
    found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return found


def figures(report: dict[str, Any], system: str) -> dict[str, list[float]]:
    """Name -> value, low, high, count."""
    found: dict[str, list[float]] = next(
        summary["figures"]
        for summary in report["summaries"]
        if summary["system"] == system and summary["subset"] == "all"
    )
    return found


def rows_of(manifest: Path) -> list[dict[str, Any]]:
    """Utterances of a manifest."""
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


def unheard_errors(report: dict[str, Any], system: str, data: Path) -> tuple[int, int]:
    """Letters of the test that the training texts do not hold: read otherwise than written, and in all."""
    from amtts_core.evaluation.text_errors import LETTERS

    heard = {letter for row in rows_of(data / "train.jsonl") for letter in LETTERS(row["text"])}
    wrong = total = 0
    for row in report["rows"]:
        if row["system"] == system:
            text = Counter(letter for letter in LETTERS(row["reference"]) if letter not in heard)
            total += sum(text.values())
            wrong += sum(count for said, _, count in row["errors"]["confusions"] if said in text)
    return wrong, total


def steps_of(run: Path) -> str:
    """Best step by validation, and the last one."""
    metrics = rows_of(run / "metrics.jsonl")
    validations = [row for row in metrics if row.get("kind") == "validation" and row["step"]]
    best = min(validations, key=lambda row: row["val/total"])
    return f"{best['step']} of {validations[-1]['step']}"


def table(work: Path, runs: list[Path], limit: int = 0) -> str:
    """Every run beside the recordings, as Markdown."""
    heldout = evaluate(runs, work / "data-test/train.jsonl", work / "evaluation", GROUPS, limit)
    rare = evaluate(runs, work / "data-rare/train.jsonl", work / "evaluation-rare", "text", limit)
    heads = ["learned from", "best of steps", "wall, processor time", *(head for _, head, _ in SHOWN)]
    heads += ["CER", "CER, rare letters", "letters not heard, wrong"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for run in (None, *runs):
        name = run.name if run else "recordings"
        found, found_rare = figures(heldout, name), figures(rare, name)
        if run is None:
            cells, unheard = ["recordings", "", ""], ""
        else:
            data = work / run.name.removesuffix("-replay").replace("run", "data")
            rows = rows_of(data / "train.jsonl")
            spent = json.loads((run / "trained.json").read_text())
            minutes = sum(row["duration"] for row in rows) / 60
            mixed = ", replay" if run.name.endswith("-replay") else ""
            time_used = f"{spent['wall'] / 60:.1f}, {spent['processor'] / 60:.1f} min"
            cells = [f"{minutes:.1f} min ({len(rows)}){mixed}", steps_of(run), time_used]
            unheard = "{} of {}".format(*unheard_errors(rare, name, data))
        cells += [shape.format(found[key][0]) if key in found else "" for key, _, shape in SHOWN]
        cells += [f"{found['cer'][0]:.2%}", f"{found_rare['cer'][0]:.2%}", unheard]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Corpora, trainings one after the other, and the table after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for everything")
    parser.add_argument("--minutes", default="3,6,12,30", help="minutes to learn from, in this order")
    parser.add_argument("--voice", default="am+m4", help="eSpeak NG voice")
    parser.add_argument(
        "--sentences", type=int, default=0, help="of each test to speak; 0 takes all (30, 40)"
    )
    parser.add_argument("--replay", action="store_true", help="mix examples/corpus in")
    parser.add_argument("--set", action="append", default=[], help="setting of the trainings")
    asked = parser.parse_args()
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    settings = [part for one in asked.set for part in ("--set", one)]
    corpus(work / "data-test", CORPUS / "heldout.txt", asked.voice)
    corpus(work / "data-rare", composed(work / "rare.txt", count=RARE, seed=11), asked.voice)
    for minutes in asked.minutes.split(","):
        much = ("--minutes", round(KEPT_BACK * float(minutes), 1))
        data = corpus(work / f"data-{minutes}", sentences(work), asked.voice, *much)
        how = (*replayed(work), *settings) if asked.replay else tuple(settings)
        train(data, work / f"run-{minutes}{'-replay' if asked.replay else ''}", *how)
        done = sorted(
            (path.parent for path in work.glob("run-*/trained.json")),
            key=lambda run: (float(run.name.split("-")[1]), run.name),
        )
        written = table(work, done, asked.sentences)
        (work / "table.md").write_text(written, encoding="utf-8")
        print(written, flush=True)


if __name__ == "__main__":
    main()
