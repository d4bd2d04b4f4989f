"""TensorBoard events: every loss term, learning rate, gradient norm, pictures and spoken samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amtts_core.training.callbacks import Callback, Outcome, StepReport

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.training.trainer import Trainer


def to_image(picture: np.ndarray) -> np.ndarray:
    """A (H, W) array as (H, W, 3) bytes: low rows at the bottom, dark to bright through blue, red and yellow."""
    low, high = float(picture.min()), float(picture.max())
    level = (picture[::-1] - low) / max(high - low, 1e-9)
    red = np.clip(1.8 * level - 0.2, 0, 1)
    green = np.clip(2 * level - 1, 0, 1)
    blue = np.clip(np.sin(level * np.pi) * 0.8 + np.clip(4 * level - 3.2, 0, 1), 0, 1)
    return (np.stack([red, green, blue], axis=-1) * 255).astype(np.uint8)


class TensorBoardLogger(Callback):
    """Writes into `folder`; the writer is made at the first event."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def started(self, trainer: Trainer) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=trainer.step + 1 if trainer.step else None)

    def stepped(self, report: StepReport) -> None:
        if report.log_due:
            for name, value in {**report.metrics, **report.speed}.items():
                self._writer.add_scalar(name, value, report.step)

    def validated(self, step: int, metrics: dict[str, float], pictures: dict[str, Tensor]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        for name, picture in pictures.items():
            image = to_image(picture.float().cpu().numpy())
            self._writer.add_image(name, image, step, dataformats="HWC")

    def sampled(self, step: int, index: int, text: str, path: Path) -> None:
        import soundfile

        waveform, rate = soundfile.read(path, dtype="float32")
        self._writer.add_audio(f"sample/{index}", waveform[None], step, sample_rate=rate)
        self._writer.add_text(f"sample/{index}/text", text, step)

    def finished(self, outcome: Outcome) -> None:
        if self._writer is not None:
            self._writer.close()
