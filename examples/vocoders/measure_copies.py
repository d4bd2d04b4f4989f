"""Measures vocoders on copies: the mel of a recording, spoken again, against the recording.

    pip install --no-deps distillmos xls_r_sqa pesq
    python examples/vocoders/measure_copies.py --source REAL --speakers alffa05,alffa098 --count 20 \
        --vocoder griffin-lim --vocoder RUN

DistillMOS (Stahl et al. 2025) guesses how people would rate the sound, 1 to 5, without the recording; PESQ (ITU-T
P.862.2, wide band) compares with it, up to 4.64. Both are at 16 kHz. `--source` is a folder with a metadata.csv as of
`mix_corpus.py`. The packages are no dependency of this project and are used for these figures only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from mix_corpus import rows_of

from amtts_core.audio.mel import MelConfig, log_mel
from amtts_core.contract.vocoder_registry import open_vocoder

JUDGED = 16000


def mos_model() -> Any:
    """DistillMOS; its command line alone needs torchaudio, which need not be here."""
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    import distillmos

    with contextlib.redirect_stdout(io.StringIO()):
        return distillmos.ConvTransformerSQAModel().eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--speakers", default="", help="separated by commas; empty takes all")
    parser.add_argument("--count", type=int, default=20, help="recordings a speaker, spread over the table")
    parser.add_argument("--longest", type=float, default=7.0, help="seconds; longer recordings are not taken")
    parser.add_argument("--vocoder", action="append", required=True)
    options = parser.parse_args()
    from pesq import pesq

    torch.set_num_threads(1)
    config, judge = MelConfig(), mos_model()
    vocoders = {
        choice: open_vocoder(choice, mel=config.format, maker="the mel") for choice in options.vocoder
    }
    wanted = set(options.speakers.split(",")) - {""}
    files: dict[str, list[Path]] = {}
    for path, _, speaker in rows_of(options.source):
        if (not wanted or speaker in wanted) and 2.0 <= soundfile.info(path).duration <= options.longest:
            files.setdefault(speaker, []).append(path)
    scores: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for speaker, paths in sorted(files.items()):
        for path in paths[:: max(1, len(paths) // options.count)][: options.count]:
            sound, rate = soundfile.read(path, dtype="float32")
            wave = torch.from_numpy(soxr.resample(sound, rate, config.sample_rate, quality="VHQ"))
            mel = log_mel(wave[None, : len(wave) // config.hop * config.hop], config)[0]
            heard = {name: vocoder.vocode(mel).numpy() for name, vocoder in vocoders.items()}
            for name, made in {"recording": wave.numpy(), **heard}.items():
                real = soxr.resample(sound, rate, JUDGED).astype(np.float32)
                copy = soxr.resample(made, config.sample_rate, JUDGED).astype(np.float32)
                length = min(len(real), len(copy))
                with torch.inference_mode():
                    mos = float(judge(torch.from_numpy(copy[:length])[None]))
                off = float(
                    (log_mel(torch.from_numpy(made)[None], config)[0, :, : mel.shape[1]] - mel).abs().mean()
                )
                found = (mos, pesq(JUDGED, real[:length], copy[:length], "wb"), off)
                scores.setdefault((speaker, name), []).append(found)
    for (speaker, name), rows in scores.items():
        mean = np.mean(rows, axis=0)
        print(
            json.dumps(
                {
                    "speaker": speaker,
                    "vocoder": name,
                    "copies": len(rows),
                    "distillmos": round(mean[0], 3),
                    "pesq": round(mean[1], 3),
                    "mel": round(mean[2], 3),
                }
            )
        )


if __name__ == "__main__":
    main()
