"""`amtts prepare` beside the loop that one writes with librosa, at the same work: clips a second and core.

python benchmarks/bench_prepare_peer.py [SOURCE] [--peer-python PATH] [--repeat 2]

SOURCE holds metadata.csv with `audio_file|text` lines, as an LJSpeech folder does. Both sides, for each clip: decode,
resample to 22,050 Hz, count clipped samples, hash the audio to find repeated clips, remove DC and rumble below 40 Hz,
find and cut silence 40 dB down, estimate the signal-to-noise ratio and the bandwidth, measure the loudness (BS.1770)
and bring it to -23 LUFS under a peak of -1 dBFS, write 16-bit FLAC, tidy the text and write a line of a manifest.

The loop is the usual one: librosa.load (soxr_hq), scipy's sosfilt, librosa.effects.trim, librosa.feature.rms and
spectral_rolloff with their default frames, pyloudnorm, soundfile. It reads out no numbers or abbreviations, checks no
container for missing data, keeps no journal, ledger, splits or report; amtts does all of that in its time.

Processor time counts, not the clock, and each side's best run. "whole process" is from the start of the program to
its end with imports (`amtts prepare --jobs 1` as a user runs it); "per clip" leaves out imports and what is done once
in a process. librosa and pyloudnorm are no dependencies of amtts: `--peer-python` names an interpreter that has
them (pip install librosa pyloudnorm soundfile). Without them the benchmark says so and ends well.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

RATE = 22050
ROOT = Path(__file__).resolve().parent.parent


def read_metadata(source: Path) -> list[tuple[Path, str]]:
    """Audio files and texts of metadata.csv, which may have a header."""
    audio, rows = source / "audio", []
    for line in (source / "metadata.csv").read_text(encoding="utf-8").splitlines():
        name, text = line.split("|")[:2]
        path = next((p for p in (source / name, audio / name) if p.is_file()), None)
        if path is not None:
            rows.append((path, text))
    return rows


def librosa_loop(source: Path, out: Path) -> tuple[int, float]:
    """Clips and seconds of processor time of the loop; imports and the first clip are not counted."""
    import librosa
    import numpy as np
    import pyloudnorm
    import soundfile
    from scipy.signal import butter, sosfilt

    meter, high_pass = pyloudnorm.Meter(RATE), butter(2, 40, "highpass", fs=RATE, output="sos")
    rows, seen, start = read_metadata(source), set(), 0.0
    with (out / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for number, (path, text) in enumerate([rows[0], *rows]):
            if number == 1:
                seen, start = set(), time.process_time()
            samples, _ = librosa.load(path, sr=RATE)
            clipped = float(np.mean(np.abs(samples) >= 0.999))
            digest = hashlib.sha1(samples.tobytes(), usedforsecurity=False).hexdigest()
            if digest in seen:
                continue
            seen.add(digest)
            steady = sosfilt(high_pass, samples - samples.mean())
            trimmed, _ = librosa.effects.trim(steady, top_db=40)
            levels = librosa.amplitude_to_db(librosa.feature.rms(y=steady)[0], top_db=None)
            snr = np.percentile(levels, 95) - np.percentile(levels, 5)
            top = librosa.feature.spectral_rolloff(y=steady, sr=RATE, roll_percent=0.99).max()
            loudness = meter.integrated_loudness(trimmed)
            gain = min(10 ** ((-23 - loudness) / 20), 10 ** (-1 / 20) / np.abs(trimmed).max())
            soundfile.write(out / f"{number}.flac", trimmed * gain, RATE, subtype="PCM_16")
            row = {
                "audio_filepath": f"{number}.flac",
                "duration": len(trimmed) / RATE,
                "text": text,
                "normalized_text": " ".join(unicodedata.normalize("NFC", text).split()),
                "clipped": clipped,
                "snr": float(snr),
                "bandwidth": float(top),
                "loudness": float(loudness),
            }
            manifest.write(json.dumps(row, ensure_ascii=False) + "\n")
    return len(rows), time.process_time() - start


def amtts_run(source: Path, out: Path) -> tuple[int, float]:
    """Clips and seconds of processor time of a second `amtts prepare` in one process."""
    from amtts_core.corpus.prepare import prepare_corpus
    from amtts_core.corpus.settings import PrepareSettings

    settings = PrepareSettings(sample_rate=RATE, max_rejected=1.0)
    prepare_corpus(source, out / "warm", settings, jobs=1)
    start = time.process_time()
    report = prepare_corpus(source, out / "timed", settings, jobs=1)
    return report.total, time.process_time() - start


def whole(command: list[str]) -> tuple[str, float]:
    """What a program printed, and the processor time of its process from start to end."""
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, spent


def main() -> None:
    """Prints a line for each side and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=ROOT / "examples/corpus")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--only", choices=("peer", "amtts"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    source, itself = str(arguments.source), str(Path(__file__).resolve())
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only:
            work = librosa_loop if arguments.only == "peer" else amtts_run
            lacking = [name for name in ("librosa", "pyloudnorm") if importlib.util.find_spec(name) is None]
            absent = arguments.only == "peer" and bool(lacking)
            print(json.dumps(None if absent else work(arguments.source, Path(folder))))
            return
        runs: dict[str, list[tuple[float, float]]] = {"amtts prepare": [], "librosa loop": []}
        for number in range(arguments.repeat):
            said, process = whole([arguments.peer_python, itself, source, "--only", "peer"])
            peer = json.loads(said.splitlines()[-1])
            if peer is None:
                print("skipped: librosa or pyloudnorm is not installed (see --peer-python)")
                return
            runs["librosa loop"].append((process, peer[1]))
            out = str(Path(folder) / str(number))
            command = ["prepare", source, "--out", out, "--sample-rate", str(RATE), "--jobs", "1"]
            _, process = whole([sys.executable, "-m", "amtts_cli", *command, "--max-rejected", "1"])
            said, _ = whole([sys.executable, itself, source, "--only", "amtts"])
            ours = json.loads(said.splitlines()[-1])
            runs["amtts prepare"].append((process, ours[1]))
    best = {name: [min(figures) for figures in zip(*values, strict=True)] for name, values in runs.items()}
    for (name, (process, items)), clips in zip(best.items(), (ours[0], peer[0]), strict=True):
        print(
            f"{name}: whole process {process:.2f} s, {clips / process:.0f} clips/s and core; "
            f"per clip {1000 * items / clips:.2f} ms, {clips / items:.0f} clips/s and core ({clips} clips)"
        )
    (our_process, our_items), (their_process, their_items) = best.values()
    ratio = their_process / our_process * ours[0] / peer[0], their_items / our_items * ours[0] / peer[0]
    print(f"ratio: whole process {ratio[0]:.2f}, per clip {ratio[1]:.2f}")


if __name__ == "__main__":
    main()
