"""The training view of the CTC recognizer: one phase, the CTC loss with label priors.

CTC alone learns to emit each symbol in one frame and blanks elsewhere. Dividing the symbols' frequencies out of the
posteriors in the loss lets a symbol last as long as its sound, which is what alignment needs (Huang et al., "Less
Peaky and More Accurate CTC Forced Alignment by Label Priors", ICASSP 2024).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_core.contract.learner import AllReduce
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.eval_mode import evaluating
from amtts_recognizers.ctc.augment import augmented
from amtts_recognizers.ctc.config import CtcConfig
from amtts_recognizers.ctc.decode import collapsed
from amtts_recognizers.ctc.network import CtcNetwork, frame_mask

PHASE = "main"
PRIOR_DECAY = 0.98
"""Memory of the running mean of the posteriors, a step."""
LEAST_PRIOR = 1e-6


class CtcLearner:
    """Loss = CTC over the posteriors divided by `prior ** prior_weight`, nats per target symbol.

    Args:
        network: the network.
        config: its settings.
        blank: id of the blank symbol.
    """

    phases = (PHASE,)

    def __init__(self, network: CtcNetwork, config: CtcConfig, *, blank: int) -> None:
        self.modules: dict[str, nn.Module] = {"network": network}
        self._network, self._config, self._blank = network, config, blank
        self._seen: Tensor | None = None

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """All parameters; there is one phase."""
        return [p for p in self._network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the one loss of a batch."""
        mel, lengths = batch["mel"], batch["mel_lengths"]
        training = self._network.training
        if training:
            mel, lengths = augmented(mel, lengths, self._config.augment)
        log_probs = self.modules["network"](mel, lengths)
        frames = self._network.num_frames(lengths)
        total = self._loss(log_probs, frames, batch)
        terms = {"ctc": total.detach()}
        if training:
            self._accumulate(log_probs.detach(), frames)
        else:
            terms["token_error"] = self._token_error(log_probs, frames, batch)
        yield PhaseLoss(phase=PHASE, total=total, terms=terms)

    def _loss(self, log_probs: Tensor, frames: Tensor, batch: Batch) -> Tensor:
        prior = self._network.prior.clamp(min=LEAST_PRIOR).log()
        scaled = log_probs - self._config.prior_weight * prior
        # torch's CTC gradient holds for normalized input. A frame's constant is common to all paths, so it may be
        # taken out before and put back afterwards.
        constant = scaled.logsumexp(-1)
        path = functional.ctc_loss(
            (scaled - constant[..., None]).transpose(0, 1),
            batch["tokens"],
            frames,
            batch["token_lengths"],
            blank=self._blank,
            reduction="none",
            zero_infinity=True,
        )
        inside = frame_mask(frames, log_probs.shape[1])[..., 0]
        kept = (path > 0).float()  # an utterance that became too short for its text counts nothing
        nats = (path - (constant * inside).sum(1)) * kept
        return nats.sum() / batch["token_lengths"].sum()

    def _accumulate(self, log_probs: Tensor, frames: Tensor) -> None:
        inside = frame_mask(frames, log_probs.shape[1])
        seen = (log_probs.exp() * inside).sum((0, 1))
        self._seen = seen if self._seen is None else self._seen + seen

    def begin_step(self) -> None:
        """Discards what an unfinished step accumulated."""
        self._seen = None

    def end_step(self, all_reduce: AllReduce) -> None:
        """Moves the running mean of the posteriors."""
        seen = torch.zeros_like(self._network.prior) if self._seen is None else self._seen
        all_reduce.sum(seen)
        self._seen = None
        if float(seen.sum()) > 0:
            self._network.prior.lerp_(seen / seen.sum(), 1 - PRIOR_DECAY)

    def _token_error(self, log_probs: Tensor, frames: Tensor, batch: Batch) -> Tensor:
        """Mean over utterances of edit distance over target symbols."""
        from rapidfuzz.distance import Levenshtein

        best, rates = log_probs.argmax(-1).cpu(), []
        for row, (count, target) in enumerate(
            zip(frames.tolist(), batch["token_lengths"].tolist(), strict=True)
        ):
            hypothesis = collapsed(best[row, :count].tolist(), blank=self._blank)
            wanted = batch["tokens"][row, :target].tolist()
            rates.append(Levenshtein.distance(hypothesis, wanted) / max(1, target))
        return torch.tensor(rates).mean()

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Mel (M, T) and posteriors of the symbols in use (V', L) of the batch's first utterance, low rows first."""
        lengths = batch["mel_lengths"][:1]
        mel = batch["mel"][:1, : int(lengths[0])]
        with evaluating(self._network):
            probs = self._network(mel, lengths)[0].exp()
        used = sorted({self._blank, *batch["tokens"][0, : int(batch["token_lengths"][0])].tolist()})
        return {"mel": mel[0].T, "posteriors": probs[:, used].T}
