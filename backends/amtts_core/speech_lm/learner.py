"""The training view of an autoregressive speech model: one phase, losses of the codes and of the text.

B items, N text positions, S speech positions, K codebooks of V outputs each, D channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from amtts_core.contract.learner import AllReduce
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.nn.forward_sum_loss import forward_sum_loss
from amtts_core.nn.soft_code_targets import noisy_codes
from amtts_core.speech_lm.attention import alignment_layer, query_and_key, text_attention_log_probs
from amtts_core.speech_lm.length_model import LengthModel
from amtts_core.speech_lm.losses import token_loss
from amtts_core.speech_lm.packing import Packing
from amtts_core.speech_lm.speaker_memory import SpeakerMemory

PHASE = "main"


@dataclass(frozen=True)
class PackedStates:
    """What a network's forward pass gives.

    Attributes:
        hidden: (R, L, D) after the final norm, packed.
        packing: how.
        tapped: (R, L, D) input of the block that was asked for, None where none was.
    """

    hidden: Tensor
    packing: Packing
    tapped: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class PassInputs:
    """A batch as a network reads it.

    Attributes:
        arguments: of the network's `forward`.
        text_lengths: (B,) text positions of each item, its marks included.
        text_targets: (B, N, 1), `IGNORED` where there is no loss.
        targets: (B, S, K), the same for the codes.
        input_lengths: (B,) speech positions.
        has_text: (B,) bool, false where the text was dropped.
    """

    arguments: dict[str, Any]
    text_lengths: Tensor
    text_targets: Tensor
    targets: Tensor
    input_lengths: Tensor
    has_text: Tensor


class TrainingPass(nn.Module):
    """A batch to its losses in one `forward`, heads included, so that it can be wrapped (DDP).

    Args:
        network: has `config`, `text`, `speech`, `segments` (of text and speech) and `decoder_modules`.
        soft_targets: see `token_loss`; used in training only.
    """

    soft_targets: Tensor | None

    def __init__(self, network: Any, soft_targets: Tensor | None = None) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("soft_targets", soft_targets, persistent=False)

    def forward(self, batch: PassInputs) -> tuple[Tensor, Tensor, Tensor | None]:
        """Mean loss of the text (1,) and of each codebook (K,), and of the alignment where it has a weight."""
        network, config = self.network, self.network.config
        layer = alignment_layer(config.layers) if config.alignment_weight else None
        states: PackedStates = network(**batch.arguments, tap=layer)
        text, speech = network.segments
        of_text = token_loss(
            states.hidden,
            states.packing,
            text,
            batch.text_targets,
            network.text.head,
            chunk=config.loss_chunk,
        )
        of_codes = token_loss(
            states.hidden,
            states.packing,
            speech,
            batch.targets,
            network.speech.head,
            chunk=config.loss_chunk,
            soft_targets=self.soft_targets if self.training else None,
        )
        aligned = None if layer is None else _alignment_loss(network, states, batch, layer)
        return of_text.means, of_codes.means, aligned


def _alignment_loss(network: Any, states: PackedStates, batch: PassInputs, layer: int) -> Tensor:
    """The loss of the first head of the layer (`forward_sum_loss`); an item without text does not count."""
    widths = batch.text_targets.shape[1], batch.targets.shape[1]
    log_probs = attention_of(network, states, widths, layer, heads=slice(1))[:, 0]
    skipped = network.speech.start_tokens - 1
    speech = (batch.input_lengths - skipped) * batch.has_text
    return forward_sum_loss(log_probs[:, skipped:], speech, batch.text_lengths * batch.has_text)


def attention_of(
    network: Any, states: PackedStates, widths: tuple[int, int], layer: int, *, heads: slice = slice(None)
) -> Tensor:
    """Log of the attention from speech to text, (B, H, S, N); see `text_attention_log_probs`."""
    text, speech = network.segments
    assert states.tapped is not None
    query, key = query_and_key(
        network.decoder_modules(), layer, states.tapped, states.packing.positions, heads=heads
    )
    return text_attention_log_probs(
        query, key, states.packing, text=(text, widths[0]), speech=(speech, widths[1])
    )


class SpeechLmLearner:
    """Loss = speech cross-entropy + `text_weight` x text cross-entropy, both in nats per token.

    With several codebooks the speech's is their weighted mean; with `alignment_weight` a third term makes one head walk
    through the text. A family says in `prepare` what its network reads.

    Args:
        network: is trained in place.
        soft_targets: (K, V, V) distribution that each code stands for as a target in training; None means itself.
    """

    phases = (PHASE,)

    def __init__(self, network: Any, soft_targets: Tensor | None = None) -> None:
        self.network, self.config = network, network.config
        self.modules: dict[str, nn.Module] = {"network": TrainingPass(network, soft_targets)}

    def prepare(self, batch: Batch) -> PassInputs:
        """What the network reads of a batch; in training with its random choices."""
        raise NotImplementedError

    def codebook_weights(self) -> tuple[float, ...]:
        """Loss weight of each codebook; empty counts all alike."""
        return ()

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """All that are not frozen; there is one phase."""
        return [p for p in self.network.parameters() if p.requires_grad]

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields the one loss of a batch."""
        if self.network.training and (lengths := self._length_model()) is not None:
            lengths.update(batch["token_lengths"], batch["frames"])
        text, codebooks, aligned = self.modules["network"](self.prepare(batch))
        weights = codebooks.new_tensor(self.codebook_weights() or [1.0] * len(codebooks))
        speech = (codebooks * weights).sum() / weights.sum()
        terms = {"speech": speech, "text": text[0]}
        if len(codebooks) > 1:
            terms |= {f"codebook{number}": loss for number, loss in enumerate(codebooks)}
        total = speech + self.config.text_weight * text[0]
        if aligned is not None:
            terms["alignment"] = aligned
            total = total + self.config.alignment_weight * aligned
        yield PhaseLoss(
            phase=PHASE, total=total, terms={name: value.detach() for name, value in terms.items()}
        )

    def noisy(self, inputs: Tensor) -> Tensor:
        """Code inputs (B, S, K) in training: with `code_noise` a share is replaced, so that it learns to recover."""
        if not self.network.training or not self.config.code_noise:
            return inputs
        return noisy_codes(inputs, self.network.speech.num_codes, self.config.code_noise)

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Where the speech of the first utterance looks in its text, (text, speech), low rows first."""
        training, layer = self.network.training, alignment_layer(self.config.layers)
        self.network.eval()
        try:
            one = self.prepare({name: value[:1] for name, value in batch.items()})
            states = self.network(**one.arguments, tap=layer)
        finally:
            self.network.train(training)
        widths = int(one.text_lengths[0]), int(one.input_lengths[0])
        return {"alignment": attention_of(self.network, states, widths, layer)[0].exp().mean(0).T}

    def begin_step(self) -> None:
        """Lengths and speakers of an unfinished step are forgotten."""
        for part in self._remembering():
            part.begin_step()

    def end_step(self, all_reduce: AllReduce) -> None:
        """Lengths and speakers of the step are added to what the network remembers."""
        for part in self._remembering():
            part.end_step(all_reduce)

    def _remembering(self) -> list[LengthModel | SpeakerMemory]:
        return [part for part in self.network.children() if isinstance(part, LengthModel | SpeakerMemory)]

    def _length_model(self) -> LengthModel | None:
        return next((part for part in self.network.children() if isinstance(part, LengthModel)), None)
