"""`make demo`: the main job from recordings to speech, with the real commands, in the folder demo/.

Every command is echoed as it can be typed. Running it again starts over; only a folder that a demo made is removed.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import soundfile

DEMO = Path("demo")
MARKER = DEMO / ".made-by-make-demo"
CORPUS = "examples/corpus"
COMMANDS = (
    ("prepare", CORPUS, "--out", "demo/data"),
    ("tokenize", "--data", "demo/data", "--kind", "fidel"),
    (
        *("train", "--backend", "chatterbox-mel", "--data", "demo/data", "--out", "demo/run"),
        *("--set", "model.vocoder=examples/vocoders/am-22k"),
    ),
    ("validate-e2e", "--data", "demo/data", "--checkpoint", "demo/run"),
    ("synthesize", "--checkpoint", "demo/run", "--file", f"{CORPUS}/heldout.txt", "--out", "demo/heldout"),
    ("synthesize", "--checkpoint", "demo/run", "ሰላም ለዓለም።", "--out", "demo/hello.wav"),
    (
        *("evaluate", "--checkpoint", "demo/run", "--name", "demo", "--manifest", "demo/data/test.jsonl"),
        *("--no-public-list", "--out", "demo/evaluation"),
    ),
)


def main() -> int:
    """Runs the commands and tells what came of them; the exit code is that of the first that failed."""
    if not Path(CORPUS).is_dir():
        return fail(f"no folder {CORPUS} here; run `make demo` in the checkout")
    if DEMO.exists():
        if not MARKER.is_file():
            return fail(f"{DEMO}/ was not made by `make demo` (no {MARKER.name} in it); move it away first")
        shutil.rmtree(DEMO)
    DEMO.mkdir()
    MARKER.write_text("make demo removes this folder when it starts over\n")
    seconds: dict[str, float] = {}
    for command in COMMANDS:
        print(f"\n$ amtts {' '.join(map(quoted, command))}", flush=True)
        began = time.monotonic()
        code = subprocess.run([sys.executable, "-m", "amtts_cli", *command], check=False).returncode
        if code != 0:
            return fail(f"`amtts {command[0]}` ended with exit code {code}", code)
        seconds[command[0]] = seconds.get(command[0], 0.0) + time.monotonic() - began
    tell(seconds)
    return 0


def tell(seconds: dict[str, float]) -> None:
    """Prints the files, the times and the figures of the best checkpoint."""
    heldout, hello = sorted((DEMO / "heldout").glob("*.wav")), DEMO / "hello.wav"
    spoken = sum(soundfile.info(path).duration for path in (*heldout, hello))
    print("\nSpeech:")
    print(
        f"  {heldout[0]} to {heldout[-1].name}: the sentences of {CORPUS}/heldout.txt, none of them in the corpus"
    )
    print(f"  {hello}")
    print("  demo/evaluation/report.html: what the voice says beside the recordings, measured")
    print("\nSeconds taken:")
    for name, taken in (*seconds.items(), ("in all", sum(seconds.values()))):
        print(f"  {name:13} {taken:7.1f}")
    print("\nMeasured:")
    for name, value in sorted(metrics_of_best().items()):
        print(f"  {name:26} {value:.4f}")
    print(f"  {'speech made':26} {spoken:.1f} s in {len(heldout) + 1} files")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"  {'largest process':26} {peak:.1f} GB")
    print(
        "\nThe corpus is spoken by a synthesiser (eSpeak NG), so is this voice. Say something yourself:\n"
        '  .venv/bin/amtts synthesize --checkpoint demo/run "እንኳን ደህና መጡ።" --out welcome.wav'
    )


def metrics_of_best() -> dict[str, float]:
    """What the checkpoint that `synthesize` takes was measured at."""
    found = {path.parent.name: path for path in (DEMO / "run").glob("checkpoints/*/checkpoint.json")}
    pointer = DEMO / "run" / "best"
    name = pointer.read_text().strip() if pointer.is_file() else max(found, default="")
    path = found.get(Path(name).name)
    return json.loads(path.read_text(encoding="utf-8"))["metrics"] if path else {}


def quoted(argument: str) -> str:
    """The argument as one types it in a shell."""
    return argument if re.fullmatch(r"[\w./=:-]+", argument) else '"' + argument + '"'


def fail(message: str, code: int = 2) -> int:
    """Says why the demo stops."""
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
