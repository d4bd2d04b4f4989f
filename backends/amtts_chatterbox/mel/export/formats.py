"""The files: `model.onnx` alone, a folder for sherpa-onnx (k2-fsa), a voice for piper.

All hold the text network and the vocoder in one ONNX file, whose inputs are those of VITS, which these engines run.
"""

from __future__ import annotations

import copy
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.mel.export.voice import ExportedVoice
from amtts_core.contract.types import SynthesisRequest
from amtts_core.contract.vocoder import HasModule
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.synthesis.letter_table import letter_table
from amtts_core.synthesis.onnx_file import require, require_same, run_onnx, write_onnx

logger = logging.getLogger(__name__)
INPUTS = ("x", "x_length", "noise_scale", "length_scale", "noise_scale_w")
PIPER_INPUTS = ("input", "input_lengths", "scales")
PACE = 1.07
ERROR = 0.02
"""Difference between engines as a share of the signal: the phase of the pulses adds up rounding errors."""
SPOKEN = "ሰላም ለዓለም"
_SHERPA = """
import sys, numpy, sherpa_onnx as s
folder, text, pace, speaker = sys.argv[1:]
vits = s.OfflineTtsVitsModelConfig(model=folder + "/model.onnx", lexicon="", tokens=folder + "/tokens.txt",
    noise_scale=0.0, noise_scale_w=0.0, length_scale=float(pace))
engine = s.OfflineTts(s.OfflineTtsConfig(model=s.OfflineTtsModelConfig(vits=vits)))
made = engine.generate(text, sid=int(speaker), speed=1.0)
sys.stdout.buffer.write(numpy.array([made.sample_rate, *made.samples], dtype="<f4").tobytes())
"""


class PiperVoice(ExportedVoice):
    """The same with piper's inputs."""

    def forward(  # type: ignore[override]
        self, ids: Tensor, lengths: Tensor, scales: Tensor, sid: Tensor | None = None
    ) -> Tensor:
        """(1, N) ids, (1,) length, (3,) noise, length and duration-noise scales -> (1, 1, T)."""
        return super().forward(ids, lengths, scales[0:1], scales[1:2], scales[2:3], sid)


def write_model(backend: Any, folder: Path) -> None:
    """Writes `model.onnx` and, for its ids, `tokens.txt`."""
    metadata = {"sample_rate": backend.config.mel.sample_rate, "n_speakers": _speakers(backend)}
    _written(backend, folder / "model.onnx", kind=ExportedVoice, names=INPUTS, metadata=metadata)
    _write_tokens(_spelling(backend, "this export"), folder / "tokens.txt")


def write_sherpa(backend: Any, folder: Path) -> None:
    """Writes `model.onnx` and `tokens.txt`; where sherpa-onnx is installed, it speaks what was written."""
    spelling = _spelling(backend, "sherpa-onnx")
    metadata = {
        "model_type": "vits",
        "comment": "amtts",
        "language": "Amharic",
        "frontend": "characters",
        "add_blank": 0,
        "blank_id": 0,
        "use_eos_bos": 0,
        "bos_id": 0,
        "eos_id": 0,
        "n_speakers": _speakers(backend),
        "sample_rate": backend.config.mel.sample_rate,
    }
    module = _written(backend, folder / "model.onnx", kind=ExportedVoice, names=INPUTS, metadata=metadata)
    _write_tokens(spelling, folder / "tokens.txt")
    if find_spec("sherpa_onnx") is None:
        logger.warning(
            "the package sherpa-onnx is not installed: model.onnx was run by onnxruntime, tokens.txt by nothing; "
            "pip install sherpa-onnx and export again to try both"
        )
        return
    _check_with_sherpa(module, list(spelling), folder, rate=backend.config.mel.sample_rate)


def write_piper(backend: Any, folder: Path) -> None:
    """Writes `voice.onnx` and `voice.onnx.json`; piper reads it character by character ("text" phonemes)."""
    spelling = _spelling(backend, "piper")
    speakers = backend.speakers.names if backend.speakers.num_embeddings else ()
    voice = {
        "audio": {"sample_rate": backend.config.mel.sample_rate},
        "espeak": {"voice": "am"},
        "phoneme_type": "text",
        "num_symbols": len(spelling) + 1,
        "num_speakers": max(1, len(speakers)),
        "inference": {"noise_scale": 0.0, "length_scale": 1.0, "noise_w": 0.0},
        "phoneme_id_map": {
            **{sign: [row] for row, sign in enumerate(spelling, 1)},
            "_": [0],
            "^": [],
            "$": [],
        },
        "speaker_id_map": {name: row for row, name in enumerate(speakers)},
        "hop_length": backend.config.mel.hop,
    }
    _written(backend, folder / "voice.onnx", kind=PiperVoice, names=PIPER_INPUTS, metadata={})
    text = json.dumps(voice, ensure_ascii=False, indent=1)
    (folder / "voice.onnx.json").write_text(text + "\n", encoding="utf-8")


def _speakers(backend: Any) -> int:
    return int(backend.speakers.num_embeddings)


def _spelling(backend: Any, what: str) -> dict[str, list[int]]:
    return letter_table(backend.text_tokenizer, what=what, untrained=backend.untrained_tokens)


def _written(
    backend: Any, file: Path, *, kind: type[ExportedVoice], names: Sequence[str], metadata: dict[str, object]
) -> ExportedVoice:
    """Writes the file and returns what was written as a module.

    onnxruntime speaks it at two lengths; the module is compared with amtts' own way of speaking, vocoder included.
    """
    require("onnx", "onnxruntime")
    vocoder = backend.vocoder.opened()
    if not isinstance(vocoder, HasModule):
        raise AmttsError(
            f"vocoder '{vocoder.name}' cannot be written into an ONNX file",
            remedy="Name one with weights: amtts export --vocoder PATH, such as examples/vocoders/am-22k",
        )
    tokenizer, spelling = backend.text_tokenizer, _spelling(backend, "this export")
    module = kind(
        copy.deepcopy(backend.network).cpu(),
        copy.deepcopy(vocoder.module()).cpu(),
        spelling,
        bos=tokenizer.bos_id,
        eos=tokenizer.eos_id,
    ).eval()
    several = bool(_speakers(backend))
    names = [*names, "sid"] if several else list(names)
    signs = list(spelling)
    letters = [sign for sign in SPOKEN if sign in spelling] or signs[:5]
    examples = [_inputs([signs.index(s) + 1 for s in letters * times], names) for times in (2, 1)]
    axes = {names[0]: {1: "N"}, "y": {2: "T"}}
    write_onnx(module, examples[0], file, names=names, axes=axes, metadata=metadata)
    for example in examples:
        with torch.no_grad():
            expected = module(*example)
        found = run_onnx(file, dict(zip(names, example, strict=True)))
        require_same(found, expected, what=str(file), who="onnxruntime", error=ERROR)
    own = SynthesisRequest(tokens=[token for sign in letters for token in spelling[sign]])
    with torch.no_grad():
        made = module(*_inputs([signs.index(s) + 1 for s in letters], names, pace=1.0))
    spoken = torch.from_numpy(backend.synthesize([own])[0])
    require_same(made, spoken, what=str(file), who="its network", error=ERROR)
    return module


def _inputs(ids: list[int], names: Sequence[str], *, pace: float = PACE) -> list[Tensor]:
    """Ids with blanks between them, as piper puts them, and scales."""
    blanked = [0, *(value for one in ids for value in (one, 0))]
    given = [torch.tensor([blanked]), torch.tensor([len(blanked)])]
    scales = [torch.zeros(1), torch.full((1,), pace), torch.zeros(1)]
    given += [torch.cat(scales)] if "scales" in names else scales
    return [*given, torch.zeros(1, dtype=torch.long)] if "sid" in names else given


def _write_tokens(spelling: dict[str, list[int]], file: Path) -> None:
    lines = ["_ 0", *(f"{sign} {row}" for row, sign in enumerate(spelling, 1))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@torch.inference_mode()
def _check_with_sherpa(module: ExportedVoice, signs: list[str], folder: Path, *, rate: int) -> None:
    """Speaks every letter in a process of its own, because sherpa-onnx ends the one it runs in over a bad file.

    Raises:
        CheckpointError: sherpa-onnx cannot read the folder, or speaks differently from torch.
    """
    text = "".join(sign for sign in signs if sign.isalpha())[:120]
    done = subprocess.run(
        [sys.executable, "-c", _SHERPA, str(folder), text, str(PACE), "0"], capture_output=True, check=False
    )
    if done.returncode or not done.stdout:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["no word"])[-1]
        raise CheckpointError(f"{folder} was written, but sherpa-onnx cannot speak it: {said}")
    played = torch.from_numpy(np.frombuffer(done.stdout, dtype="<f4").copy())
    ids = torch.tensor([[signs.index(sign) + 1 for sign in text]])
    speaker = torch.zeros(1, dtype=torch.long) if module.network.speaker_embedding is not None else None
    quiet = torch.zeros(1)
    expected = module(ids, torch.tensor([len(text)]), quiet, torch.full((1,), PACE), quiet, speaker)
    if played[0] != rate:
        raise CheckpointError(
            f"{folder} was written, but sherpa-onnx plays it at {played[0]:g} Hz, expected {rate}"
        )
    require_same(played[1:], expected, what=str(folder), who="sherpa-onnx", error=ERROR)
