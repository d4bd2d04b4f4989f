"""How long a text lasts, as training saw it: a line through lengths, and the extremes of frames per token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amtts_core.contract.learner import AllReduce

FORGET = 0.02
"""Weight of a step's batches in the running means."""
NONE = torch.iinfo(torch.long).min + 1


class LengthModel(nn.Module):
    """Predicts and bounds the frames of a text. Buffers only; nothing here is trained.

    `sums` are running means of 1, n, n^2, f and n f over utterances of n tokens and f frames; `ratios` the least and
    most of 1000 f / n: integers, which an average of weights leaves alone.
    """

    sums: Tensor
    ratios: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(5))
        self.register_buffer("ratios", torch.zeros(2, dtype=torch.long))
        self.begin_step()

    def begin_step(self) -> None:
        """Forgets the batches of an unfinished step."""
        self._seen = torch.zeros(6, device=self.sums.device)  # of each batch its five means, and a one
        self._extremes = torch.full((2,), NONE, device=self.ratios.device)  # minus the least, and the most

    @torch.no_grad()
    def update(self, tokens: Tensor, frames: Tensor) -> None:
        """A batch of this step: text tokens (B,) and frames (B,)."""
        n, f = tokens.float(), frames.float()
        means = torch.stack([torch.ones_like(n), n, n * n, f, n * f]).mean(dim=1)
        self._seen += torch.cat([means, means.new_ones(1)]).to(self._seen)
        ratios = 1000 * frames // tokens.clamp(min=1)
        found = torch.stack([-ratios.min(), ratios.max()]).to(self._extremes)
        self._extremes = torch.maximum(self._extremes, found)

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce) -> None:
        """Adds the step's batches of all processes to the running means and extremes."""
        seen, extremes = self._seen.to(self.sums), self._extremes.to(self.ratios)
        all_reduce.sum(seen)
        all_reduce.maximum(extremes)
        if bool(seen[5]):
            known = bool(self.sums[0])
            self.sums.lerp_(seen[:5] / seen[5], FORGET if known else 1.0)
            least, most = -extremes[0], extremes[1]
            self.ratios[0] = torch.minimum(self.ratios[0], least) if known else least
            self.ratios[1] = torch.maximum(self.ratios[1], most)
        self.begin_step()

    @property
    def trained(self) -> bool:
        """Whether it has seen anything."""
        return bool(self.sums[0])

    def predict(self, tokens: int) -> float:
        """Frames that so many tokens should last; 0 before any training."""
        one, n, nn_, f, nf = self.sums.double().tolist()
        if not one:
            return 0.0
        spread = nn_ - n * n
        slope = (nf - n * f) / spread if spread > 0.5 else f / n
        slope = min(max(slope, 0.5 * f / n), 2 * f / n)  # few lengths determine no slope
        return max(1.0, f + slope * (tokens - n))

    def bounds(self, *, slack: float = 1.0) -> tuple[float, float] | None:
        """Fewest and most frames a token took in training, with a factor of slack both ways; None before any."""
        least, most = (value / 1000 for value in self.ratios.tolist())
        return (least / slack, most * slack) if most else None
