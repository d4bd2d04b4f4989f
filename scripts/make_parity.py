"""Writes docs/parity.md: how far every network is from the official implementation on stored numbers of it.

    python scripts/make_parity.py FOLDER

FOLDER holds the reference bundles, one folder each; a bundle that is not there keeps its row with the date of the last
run. The page names the commit that was measured.
"""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/parity.md"
HEAD = """# Parity with the official networks

Each network here computes what the official implementation computes. Bundles of stored numbers were made by running
the official code on small random weights; `amtts validate-e2e --backend B --reference BUNDLE --json` compares stage by
stage: intermediate tensors, logits, losses, gradients, whole greedy decodes. Integers (codes, paths, durations) have to
be equal.
"""
TABLE = """
| network | backend | official code | compared | furthest from its tolerance | measured |
|---|---|---|---|---|---|
"""
FOOT = """
The page is written by `python scripts/make_parity.py BUNDLES`. "Furthest" is the check that uses most of its tolerance:
difference, tolerance.
"""


@dataclass(frozen=True)
class Bundle:
    """One row.

    Attributes:
        folder: name of the bundle.
        backend: what `--backend` names.
        network: what is compared.
        official: which code made the numbers.
    """

    folder: str
    backend: str
    network: str
    official: str


BUNDLES = (
    Bundle("chatterbox", "chatterbox", "T3", "chatterbox-tts 0.1.7"),
    Bundle("chatterbox_audio", "chatterbox", "voice encoder and mel front ends", "chatterbox-tts 0.1.7"),
    Bundle("s3gen", "chatterbox", "S3 tokenizer, CAMPPlus, S3Gen, HiFT", "resemble-ai/chatterbox 5de7a54"),
    Bundle("indextts2", "indextts2", "GPT (UnifiedVoice v2)", "index-tts/index-tts ee40fa7"),
    Bundle(
        "vits",
        "vits",
        "VITS and its discriminators",
        "transformers 5.23.0, ylacombe/finetune-hf-vits 6f3f51f",
    ),
    Bundle("vits_deterministic", "vits", "VITS, duration predictor without noise", "the same"),
    Bundle("dac", "dac", "DAC", "descript-audio-codec 1.0.0"),
)


def row(bundle: Bundle, folder: Path) -> str:
    """The row of a bundle; fails where a check does not hold."""
    command = [sys.executable, "-m", "amtts_cli", "validate-e2e", "--backend", bundle.backend]
    done = subprocess.run(
        [*command, "--reference", str(folder), "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{bundle.folder}: exit code {done.returncode}\n{done.stderr}{done.stdout}")
    checks = [check for check in json.loads(done.stdout)["checks"] if "max_abs_diff" in check]
    loose = [check for check in checks if check["tolerance"]]
    worst = max(loose, key=lambda check: check["max_abs_diff"] / check["tolerance"])
    figure = f"`{worst['name']}`: {worst['max_abs_diff']:.1e}, {worst['tolerance']:.0e}"
    exact = len(checks) - len(loose)
    return (
        f"| {bundle.network} | `{bundle.backend}` | {bundle.official} | {len(checks)} numbers, {exact} of them equal "
        f"| {figure} | {datetime.date.today().isoformat()} |"
    )


def main() -> None:
    """Runs the bundles that are there."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    before = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.is_file() else []
    rows = []
    for bundle in BUNDLES:
        folder = Path(sys.argv[1]) / bundle.folder
        kept = [line for line in before if line.startswith(f"| {bundle.network} |")]
        rows += [row(bundle, folder)] if folder.is_dir() else kept
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()
    where = f"\nMeasured at commit {commit}, {platform.machine()}, Python {platform.python_version()}, on a CPU.\n"
    PAGE.write_text(HEAD + where + TABLE + "\n".join(rows) + "\n" + FOOT, encoding="utf-8")


if __name__ == "__main__":
    main()
