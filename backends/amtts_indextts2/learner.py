"""The training view: one phase, every codebook's loss and the text's, guidance and wanted lengths drawn per item."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from amtts_core.backend import Batch, PhaseLoss, Reduction
from amtts_core.training.near_codes import noisy_codes
from amtts_indextts2.alignment import alignment_layer, alignment_loss
from amtts_indextts2.config import DelayedHeadConfig
from amtts_indextts2.losses import CodeRows, book_losses, text_loss, weighted
from amtts_indextts2.network import IndexTTS2Gpt

PHASE = "main"


class IndexTTS2Learner:
    """Loss = weighted mean of the books' cross entropies + `text_weight` x the text's.

    In training a share `text_drop` of the utterances has no text (for guidance) and a share `free_length` no wanted
    length; in evaluation all have their text and their length. With `alignment_weight` a third term makes one head
    walk through the text.

    Args:
        network: is trained in place.
        shares: as in `book_losses`, in training only.
    """

    phases = (PHASE,)

    def __init__(self, network: IndexTTS2Gpt, shares: Tensor | None = None) -> None:
        self._shares = shares
        self.modules: dict[str, nn.Module] = {"network": network}
        self._network = network

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """All parameters that are not frozen."""
        return [p for p in self._network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the one loss of a batch."""
        network, config = self._network, self._network.config
        text, lengths = batch["tokens"], batch["token_lengths"]
        wanted = batch["frames"]
        counted = lengths
        if network.training:
            network.pace.watch(lengths, wanted)
            share = torch.rand(2, len(lengths), device=lengths.device)
            dropped = share[0] < config.text_drop
            lengths = lengths.masked_fill(dropped, 0)
            counted = lengths.masked_fill(dropped, -1)  # an empty text teaches the text head nothing
            wanted = wanted.masked_fill(share[1] < config.free_length, 0)
        prefix = network.prefix(network.latents_of(batch["speakers"]), wanted=wanted)
        rows = CodeRows(batch["inputs"], batch["targets"], batch["row_lengths"])
        inputs = self._noisy(rows.inputs) if network.training and config.code_noise else rows.inputs
        layer, entering = alignment_layer(network.trunk), list[Tensor]()

        def watch(number: int, hidden: Tensor) -> None:
            if number == layer:
                entering.append(hidden)

        text_logits, logits = self.modules["network"](
            prefix, text, lengths, inputs, rows.lengths, watch=watch if config.alignment_weight else None
        )
        shares = None if self._shares is None or not network.training else self._shares.to(logits.device)
        books = book_losses(logits, rows.targets, shares)
        spoken = weighted(books, config.head)
        read = text_loss(text_logits, network.marked_text(text, lengths), counted)
        terms = {"codes": spoken, "text": read}
        if len(books) > 1:
            terms |= {f"book{number}": loss for number, loss in enumerate(books)}
        total = spoken + config.text_weight * read
        if entering:
            terms["alignment"] = alignment_loss(
                network.trunk, entering[0], prefix.shape[1], lengths, rows.lengths
            )
            total = total + config.alignment_weight * terms["alignment"]
        yield PhaseLoss(
            phase=PHASE,
            total=total,
            terms={name: value.detach() for name, value in terms.items()},
        )

    def _noisy(self, inputs: Tensor) -> Tensor:
        """Code rows with a share of the codes drawn anew, so that it learns to go on after its own mistakes."""
        head = self._network.config.head
        known = head.cardinality if isinstance(head, DelayedHeadConfig) else min(head.start, head.stop)
        return noisy_codes(inputs, known, self._network.config.code_noise)

    def begin_step(self) -> None:
        """The pace of the speech is watched from nothing."""
        if hasattr(self._network, "pace"):
            self._network.pace.begin_step()

    def end_step(self, reduction: Reduction) -> None:
        """The pace takes in what it saw."""
        if hasattr(self._network, "pace"):
            self._network.pace.end_step(reduction)

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """None: codes are no picture."""
        return {}
