"""`amtts encode-codes` beside encoding file by file with the original package: seconds of speech a second, one thread.

python benchmarks/bench_encode_codes.py [--peer-python PATH] [--clips 24]

A DAC of the published 16 kHz size (74 M parameters, untrained) is made by the original descript-audio-codec package and
saved in its own format; both sides read that file. The peer does what its own example does for each file: load,
resample to 16 kHz, pad to whole frames (`preprocess`), `encode`, keep the codes as numpy. A second line tells what its
program `python -m dac encode` does: `compress` in windows of 5 s, which levels the clip first, and a `.dac` file. amtts
runs `encode_manifest` over the same clips with its index and checks. The codes are those of the package but for
roundings: the two run in different versions of torch.

Processor time counts, opening the weights and the first clip do not. The package lives in an environment of its own:
`make test-descript` makes .venv-descript, whose interpreter is taken where it is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = ROOT / ".venv-descript" / "bin" / "python"


def peer(manifest: Path, weights: Path, out: Path) -> None:
    """Makes the weights and encodes file by file; prints seconds of speech and of processor time, of both ways."""
    import dac
    import numpy as np
    import soundfile
    import torch
    from audiotools import AudioSignal

    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {
        "encoder_dim": 64,
        "encoder_rates": [2, 4, 5, 8],
        "decoder_dim": 1536,
        "decoder_rates": [8, 5, 4, 2],
    }
    sizes |= {"n_codebooks": 12, "codebook_size": 1024, "codebook_dim": 8, "sample_rate": 16000}
    model = dac.DAC(**sizes)
    with torch.no_grad():  # untrained biases are 0: silence would be as near to any entry as to another
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    torch.save({"state_dict": model.state_dict(), "metadata": {"kwargs": sizes}}, weights)
    model.eval()
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    speech, began = 0.0, 0.0
    with torch.inference_mode():
        for number, row in enumerate([rows[0], *rows]):
            if number == 1:
                began = time.process_time()
            samples, rate = soundfile.read(manifest.parent / row["audio_filepath"], dtype="float32")
            assert rate == 16000
            speech += len(samples) / rate if number else 0
            wave = model.preprocess(torch.from_numpy(samples)[None, None], rate)
            codes = model.encode(wave)[1]
            np.save(out / f"{row['id']}.npy", codes[0].numpy().T.astype(np.uint16))
    spent = time.process_time() - began
    for number, row in enumerate([rows[0], *rows]):
        if number == 1:
            began = time.process_time()
        signal = AudioSignal(str(manifest.parent / row["audio_filepath"]))
        model.compress(signal, win_duration=5.0).save(out / f"{row['id']}.dac")
    print(speech, spent, time.process_time() - began)


def ours(manifest: Path, weights: Path, out: Path, *, precision: str) -> tuple[float, float]:
    """Seconds of speech and of processor time."""
    import torch

    from amtts_core.contract.codec_registry import open_codec
    from amtts_core.run.encode_codes import encode_manifest

    torch.set_num_threads(1)
    codec = open_codec("dac", weights, precision=precision)
    codec.encode(torch.zeros(1, 16000))
    began = time.process_time()
    report = encode_manifest(manifest, codec, out)
    return report.speech, time.process_time() - began


def main() -> None:
    """Prints a line for each side and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", default=str(OWN) if OWN.exists() else "")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        peer(*map(Path, arguments.peer))
        return
    if not arguments.peer_python:
        print("skipped: descript-audio-codec is not installed (see --peer-python and make test-descript)")
        return
    import numpy as np

    from amtts_core.codec.store import CodeStore

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest, weights, peers = _manifest(folder, arguments.clips), folder / "dac.pth", folder / "peer"
        peers.mkdir()
        command = [arguments.peer_python, __file__, "--peer", str(manifest), str(weights), str(peers)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        speech, spent, program = map(float, told[-3:])
        theirs = {path.stem: np.load(path) for path in peers.glob("*.npy")}
        rows = []
        for precision in ("fp32", "bf16"):
            our_speech, our_time = ours(manifest, weights, folder / precision, precision=precision)
            store = CodeStore.open(folder / precision)
            same = np.concatenate([theirs[key] == store.get(key) for key in store])
            rows.append((precision, our_speech / our_time, 100 * same.mean(), 100 * same[:, 0].mean()))
    print(f"{len(theirs)} clips, {speech:.0f} s of speech, DAC of 16 kHz with 12 codebooks, 1 thread")
    print(f"original package, file by file     {speech / spent:6.2f} x real time   1.00 x")
    print(f"its own program, `dac encode`      {speech / program:6.2f} x real time   {spent / program:.2f} x")
    for precision, speed, equal, first in rows:
        print(
            f"amtts encode-codes, {precision}           {speed:6.2f} x real time   {speed * spent / speech:.2f} x, "
            f"codes that are equal: {equal:.2f} %, of the first codebook {first:.2f} %"
        )


def _manifest(folder: Path, clips: int) -> Path:
    """Clips of the bundled corpus at 16 kHz."""
    import soundfile

    from amtts_core.audio.io import read_audio

    files = sorted((ROOT / "examples" / "corpus" / "audio").iterdir())
    rows = []
    for path in files[:: max(1, len(files) // clips)][:clips]:
        wave = read_audio(path, sample_rate=16000)
        soundfile.write(folder / f"{path.stem}.wav", wave, 16000)
        rows.append(
            {
                "id": path.stem,
                "audio_filepath": f"{path.stem}.wav",
                "duration": len(wave) / 16000,
                "text": "ሀ",
            }
        )
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return manifest


if __name__ == "__main__":
    sys.exit(main())
