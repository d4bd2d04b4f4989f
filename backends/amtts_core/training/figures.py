"""Matrices as figures: spectrograms and alignments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def to_image(picture: Tensor) -> np.ndarray:
    """A (H, W) matrix as (H, W, 3) bytes: low rows at the bottom, dark to bright through blue, red and yellow."""
    values = picture.float().cpu().numpy()
    low, high = float(values.min()), float(values.max())
    level = (values[::-1] - low) / max(high - low, 1e-9)
    red = np.clip(1.8 * level - 0.2, 0, 1)
    green = np.clip(2 * level - 1, 0, 1)
    blue = np.clip(np.sin(level * np.pi) * 0.8 + np.clip(4 * level - 3.2, 0, 1), 0, 1)
    return (np.stack([red, green, blue], axis=-1) * 255).astype(np.uint8)


def save_picture(path: Path, picture: Tensor, *, scale: int = 1) -> None:
    """Writes a (H, W) matrix as an image file.

    Args:
        path: its ending says the format.
        picture: see `to_image`.
        scale: pixels of a cell, both ways.

    Raises:
        OSError: it cannot be written.
    """
    from PIL import Image

    pixels = to_image(picture).repeat(scale, axis=0).repeat(scale, axis=1)
    Image.fromarray(pixels).save(path)
