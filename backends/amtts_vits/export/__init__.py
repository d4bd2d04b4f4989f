"""Foreign formats of the generator, one file each; every writer runs what it wrote and compares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_vits.export.hugging_face import write_hugging_face
from amtts_vits.export.onnx_model import write_onnx
from amtts_vits.export.piper import write_piper
from amtts_vits.export.sherpa import write_sherpa

Writer = Callable[[Any, TextTokenizer, Path, Sequence[str], Collection[int] | None], None]

FORMATS: dict[str, Writer] = {
    "hf": write_hugging_face,
    "onnx": write_onnx,
    "sherpa-onnx": write_sherpa,
    "piper": write_piper,
}
