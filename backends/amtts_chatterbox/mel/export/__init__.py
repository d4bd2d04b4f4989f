"""Foreign formats of a voice with its vocoder; every writer has the real engine speak what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amtts_chatterbox.mel.export.formats import write_model, write_piper, write_sherpa

FORMATS: dict[str, Callable[[Any, Path], None]] = {
    "onnx": write_model,
    "sherpa-onnx": write_sherpa,
    "piper": write_piper,
}
