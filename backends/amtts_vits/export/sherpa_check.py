"""Has sherpa-onnx itself speak an exported folder, and compares: it reads tokens.txt and metadata by its own rules.

In a process of its own, because sherpa-onnx ends the one that it runs in over a file that it does not like.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from amtts_core.errors import CheckpointError
from amtts_core.synthesis.onnx_file import require_same
from amtts_vits.batches import with_blanks
from amtts_vits.export.check import ERROR, PACE
from amtts_vits.export.onnx_model import Exported

logger = logging.getLogger(__name__)

_SPEAK = """
import sys, numpy, sherpa_onnx as s
folder, text, pace, speaker = sys.argv[1:]
vits = s.OfflineTtsVitsModelConfig(model=folder + "/model.onnx", lexicon="", tokens=folder + "/tokens.txt",
    noise_scale=0.0, noise_scale_w=0.0, length_scale=float(pace))
engine = s.OfflineTts(s.OfflineTtsConfig(model=s.OfflineTtsModelConfig(vits=vits)))
made = engine.generate(text, sid=int(speaker), speed=1.0)
sys.stdout.buffer.write(numpy.array([made.sample_rate, *made.samples], dtype="<f4").tobytes())
"""


@torch.inference_mode()
def check_with_sherpa(network: Exported, table: Mapping[str, int], folder: Path) -> None:
    """Speaks every letter of the table, aliases among them, with the last speaker and without noise.

    Raises:
        CheckpointError: sherpa-onnx cannot read the folder, or speaks differently from torch.
    """
    text = "".join(sign for sign in sorted(table) if sign.isalpha() and sign.lower() == sign)
    if importlib.util.find_spec("sherpa_onnx") is None or not text:
        logger.warning(
            "the package sherpa-onnx is not installed: model.onnx was run by onnxruntime, tokens.txt by nothing; "
            "pip install sherpa-onnx and export again to try both"
        )
        return
    plain = network.model
    several = plain.config.num_speakers > 1
    speaker = plain.config.num_speakers - 1 if several else 0
    ids = torch.tensor([with_blanks([table[sign] for sign in text])])
    quiet, sid = torch.zeros(1), torch.tensor([speaker]) if several else None
    mine = network(ids, torch.tensor([ids.shape[1]]), quiet, torch.full((1,), PACE), quiet, sid)
    done = subprocess.run(
        [sys.executable, "-c", _SPEAK, str(folder), text, str(PACE), str(speaker)],
        capture_output=True,
        check=False,
    )
    if done.returncode or not done.stdout:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["no word"])[-1]
        raise CheckpointError(f"{folder} was written, but sherpa-onnx cannot speak it: {said}")
    rate, *_ = played = np.frombuffer(done.stdout, dtype="<f4")
    if rate != plain.config.sampling_rate:
        raise CheckpointError(
            f"{folder} was written, but sherpa-onnx speaks it at {rate:g} Hz, not {plain.config.sampling_rate}"
        )
    theirs = torch.from_numpy(played[1:].copy())
    require_same(theirs, mine, what=str(folder), who="sherpa-onnx", error=ERROR)
