"""The file of a published discriminator."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_voice import tiny_backend
from torch import Tensor

from amtts_vits.weights import to_published


def donor_file(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """A tiny discriminator in the published form, unlike a fresh one, and its tensors under our names."""
    donor = tiny_backend("vits").network.discriminator
    with torch.no_grad():
        for parameter in donor.parameters():
            parameter.add_(0.5)
    file = folder / "D_100000.pth"
    torch.save({"model": to_published(donor.state_dict()), "iteration": 3}, file)
    return file, donor.state_dict()
