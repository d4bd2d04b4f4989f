"""`amtts prepare` beside the loop that one writes with librosa, both in one process: clips a second and core.

python benchmarks/bench_prepare_peer.py [SOURCE] [--peer-python PATH]

The loop loads at 22,050 Hz, trims, estimates noise and bandwidth, levels and writes FLAC. It checks nothing, keeps no
ledger and normalises no text; amtts does all of that in its time. librosa is no dependency of amtts: `--peer-python`
names an interpreter that has librosa and soundfile. Without librosa the benchmark says so and ends well.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATE = 22050
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def librosa_loop(source: Path, out: Path) -> tuple[int, float]:
    """Clips and seconds of processor time of the loop; imports and the first clip are not counted."""
    import librosa
    import numpy as np
    import soundfile

    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    start = 0.0
    for number, path in enumerate([files[0], *files]):
        if number == 1:
            start = time.process_time()
        samples, _ = librosa.load(path, sr=RATE)
        samples, _ = librosa.effects.trim(samples - samples.mean(), top_db=40)
        levels = librosa.amplitude_to_db(librosa.feature.rms(y=samples, hop_length=256)[0])
        snr = np.percentile(levels, 95) - np.percentile(levels, 5)
        top = librosa.feature.spectral_rolloff(y=samples, sr=RATE, roll_percent=0.99).max()
        assert snr >= 0 < top
        gain = 10 ** (-23 / 20) / max(1e-6, float(np.sqrt(np.mean(samples**2))))
        samples = np.clip(samples * gain, -0.89, 0.89)
        soundfile.write(out / f"{number}.flac", samples, RATE, subtype="PCM_16")
    return len(files), time.process_time() - start


def amtts_run(source: Path, out: Path) -> tuple[int, float]:
    """Clips and seconds of processor time of `amtts prepare`; a first run warms up, as the loop's first clip does."""
    from amtts_core.data.prepare import prepare_corpus
    from amtts_core.data.settings import PrepareSettings

    settings = PrepareSettings(sample_rate=RATE, max_rejected=1.0)
    prepare_corpus(source, out / "warm", settings, jobs=1)
    start = time.process_time()
    report = prepare_corpus(source, out / "timed", settings, jobs=1)
    return report.total, time.process_time() - start


def main() -> None:
    """Prints one line for each and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = Path(__file__).resolve().parent.parent / "examples/corpus"
    parser.add_argument("source", type=Path, nargs="?", default=default)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--peer-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.peer_only:
            present = importlib.util.find_spec("librosa") is not None
            print(json.dumps(librosa_loop(arguments.source, Path(folder)) if present else None))
            return
        command = [arguments.peer_python, __file__, str(arguments.source), "--peer-only"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peer = json.loads(done.stdout.splitlines()[-1])
        if peer is None:
            print("skipped: librosa is not installed (see --peer-python)")
            return
        ours = amtts_run(arguments.source, Path(folder))
        speeds = [clips / seconds for clips, seconds in (ours, peer)]
        print(f"amtts prepare: {speeds[0]:.1f} clips/s and core ({ours[0]} clips, {ours[1]:.2f} s)")
        print(f"librosa loop:  {speeds[1]:.1f} clips/s and core ({peer[0]} clips, {peer[1]:.2f} s)")
        print(f"ratio: {speeds[0] / speeds[1]:.2f}")


if __name__ == "__main__":
    main()
