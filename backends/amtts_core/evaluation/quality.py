"""How natural speech sounds, predicted without a reference: DistillMOS and DNSMOS, from packages with their weights.

Both were trained on listeners' ratings of other languages, mostly of telephone and generated English speech. A number
alone means little: it stands beside the same score of recordings (see `evaluate`).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from amtts_core.evaluation.packages import EXTRA, WITHOUT_DEPENDENCIES, folder_of, import_without_torchaudio
from amtts_core.units import Hertz

RATE: Hertz = 16_000
DNSMOS_SECONDS = 9.01
"""Length of the stretch that DNSMOS reads."""
# Microsoft's calibration of the raw outputs (speechmos/dnsmos.py, not personalized).
DNSMOS_CALIBRATION = {
    "signal": (-0.08397278, 1.22083953, 0.0052439),
    "background": (-0.13166888, 1.60915514, -0.39604546),
    "overall": (-0.06766283, 1.11546468, 0.04602535),
}


def distillmos() -> Callable[[np.ndarray], float]:
    """DistillMOS (Stahl and Gamper 2025): waveform (T,) at 16 kHz -> predicted mean opinion score, 1 to 5.

    Raises:
        AmttsError: the package is missing.
    """
    import torch

    for package in ("distillmos", "xls_r_sqa"):
        folder_of(package, needed_for="DistillMOS", remedy=WITHOUT_DEPENDENCIES)
    import_without_torchaudio("xls_r_sqa.sqa_model")
    with (
        contextlib.redirect_stdout(io.StringIO()),
        torch.random.fork_rng(devices=[]),
    ):  # it prints where it is
        model = import_without_torchaudio("distillmos").ConvTransformerSQAModel()
    model.eval()

    def score(waveform: np.ndarray) -> float:
        with torch.inference_mode():
            return float(model(torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))[None]))

    return score


def dnsmos() -> Callable[[np.ndarray], dict[str, float]]:
    """DNSMOS P.835 (Reddy et al. 2022): waveform (T,) at 16 kHz -> `signal`, `background`, `overall`, 1 to 5.

    As `speechmos.dnsmos` computes them, from the network in that package; the package itself is not imported, because
    it imports librosa.

    Raises:
        AmttsError: the package is missing.
    """
    folder = folder_of("speechmos", needed_for="DNSMOS", remedy=EXTRA)
    session = onnx_session(folder / "dnsmos_models" / "sig_bak_ovr.onnx")

    def score(waveform: np.ndarray) -> dict[str, float]:
        stretches = _stretches(np.clip(waveform, -1, 1).astype(np.float32))
        raw = np.stack([session.run(None, {"input_1": stretch[None]})[0][0] for stretch in stretches])
        return {
            name: float(np.polyval(curve, raw[:, column]).mean())
            for column, (name, curve) in enumerate(DNSMOS_CALIBRATION.items())
        }

    return score


def _stretches(waveform: np.ndarray) -> list[np.ndarray]:
    """Stretches of 9.01 s at whole seconds; a shorter recording is doubled until it is long enough."""
    length = int(DNSMOS_SECONDS * RATE)
    while len(waveform) < length:
        waveform = np.concatenate([waveform, waveform])
    count = int(np.floor(len(waveform) / RATE) - DNSMOS_SECONDS) + 1
    found = [waveform[number * RATE : int((number + DNSMOS_SECONDS) * RATE)] for number in range(count)]
    return [stretch for stretch in found if len(stretch) >= length]


def onnx_session(path: Any) -> Any:
    """An ONNX model on one thread of the CPU.

    Raises:
        AmttsError: onnxruntime is missing.
    """
    folder_of("onnxruntime", needed_for=str(path), remedy=EXTRA)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
