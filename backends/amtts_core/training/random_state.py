"""The state of torch's global random number generators."""

from __future__ import annotations

from typing import Any

import torch


class RandomState:
    """torch's CPU generator and, where there is one, that of the current GPU."""

    def state_dict(self) -> dict[str, Any]:
        """Their states as tensors; the GPU's is None on a CPU."""
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores them; a GPU's state is left out where there is no GPU now."""
        torch.set_rng_state(state["cpu"])
        if state["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])
