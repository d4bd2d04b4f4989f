from pathlib import Path

import numpy as np
import torch
from PIL import Image

from amtts_core.training.figures import save_picture, to_image


def test_a_picture_has_its_low_rows_at_the_bottom_and_is_as_large_as_asked(tmp_path: Path) -> None:
    matrix = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    small = to_image(matrix)
    assert small.shape == (2, 3, 3)
    assert small.sum(-1).argmax() == 3  # the brightest: below, left
    save_picture(tmp_path / "a.png", matrix, scale=4)
    large = np.asarray(Image.open(tmp_path / "a.png"))
    assert large.shape == (8, 12, 3)
    np.testing.assert_array_equal(large[1::4, 1::4], small)
    assert not to_image(torch.full((2, 2), 3.0)).any()  # nothing to tell apart
