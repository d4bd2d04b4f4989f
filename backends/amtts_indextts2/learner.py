"""The training view: one phase, every codebook's loss and the text's, guidance and wanted lengths drawn per item."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from amtts_core.contract.learner import AllReduce
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.soft_code_targets import noisy_codes
from amtts_indextts2.alignment import alignment_layer, alignment_loss
from amtts_indextts2.config import DelayedHeadConfig
from amtts_indextts2.losses import CodeRows, book_losses, text_loss, weighted
from amtts_indextts2.network import IndexTTS2Gpt, Pace
from amtts_indextts2.voices import VoiceTable

PHASE = "main"


class TrainingPass(nn.Module):
    """A batch to logits and the alignment's loss in one `forward`, so that it can be wrapped."""

    def __init__(self, network: IndexTTS2Gpt) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        speakers: Tensor,
        wanted: Tensor,
        text: Tensor,
        lengths: Tensor,
        inputs: Tensor,
        rows: Tensor,
        heard: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits of the text and of the codes, and the alignment's loss where it has a weight.

        Args:
            speakers: (B,) rows of the speaker table.
            wanted: (B,) code rows that are asked for, 0 where the length is free.
            text, lengths, inputs, rows: as in `IndexTTS2Gpt.hidden`.
            heard: of other clips, see `prompts_of`; empty takes the speakers' own rows.
        """
        network = self.network
        prefix = network.prefix(*self._voice(speakers, heard), wanted=wanted)
        layer, entering = alignment_layer(network.trunk), list[Tensor]()

        def watch(number: int, hidden: Tensor) -> None:
            if number == layer:
                entering.append(hidden)

        watched = watch if network.config.alignment_weight else None
        text_logits, logits = network(prefix, text, lengths, inputs, rows, watch=watched)
        if not entering:
            return text_logits, logits, None
        aligned = alignment_loss(network.trunk, entering[0], prefix.shape[1], lengths, rows)
        return text_logits, logits, aligned

    def _voice(self, speakers: Tensor, heard: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Latents (B, N, D), and the emotion (B, D) that is not in them yet."""
        network = self.network
        if not heard:
            return network.latents_of(speakers), None
        if "heard_latents" in heard:
            return heard["heard_latents"], heard["heard_emotion"]
        latents, emotion = network.hear(heard["heard_frames"], heard["heard_lengths"])
        if self.training and latents.requires_grad:
            network.voices.meet(speakers, latents.detach(), emotion.detach())
        return latents, emotion


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
        self.modules: dict[str, nn.Module] = {"network": TrainingPass(network)}
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
        rows = CodeRows(batch["inputs"], batch["targets"], batch["row_lengths"])
        inputs = self._noisy(rows.inputs) if network.training and config.code_noise else rows.inputs
        text_logits, logits, aligned = self.modules["network"](
            batch["speakers"],
            wanted,
            text,
            lengths,
            inputs,
            rows.lengths,
            {name: value for name, value in batch.items() if name.startswith("heard_")},
        )
        shares = None if self._shares is None or not network.training else self._shares.to(logits.device)
        books = book_losses(logits, rows.targets, shares)
        spoken = weighted(books, config.head)
        read = text_loss(text_logits, network.marked_text(text, lengths), counted)
        terms = {"codes": spoken, "text": read}
        if len(books) > 1:
            terms |= {f"book{number}": loss for number, loss in enumerate(books)}
        total = spoken + config.text_weight * read
        if aligned is not None:
            terms["alignment"] = aligned
            total = total + config.alignment_weight * aligned
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
        """The pace of the speech, and voices, are watched from nothing."""
        for part in self._watching():
            part.begin_step()

    def end_step(self, all_reduce: AllReduce) -> None:
        """They take in what they saw."""
        for part in self._watching():
            part.end_step(all_reduce)

    def _watching(self) -> list[Pace | VoiceTable]:
        return [part for part in self._network.children() if isinstance(part, Pace | VoiceTable)]

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """None: codes are no picture."""
        return {}
