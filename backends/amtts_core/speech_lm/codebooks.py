"""Tables of a network for tokens and for codes: ids to vectors, vectors to logits, and what the ids mean.

One stream of codes (`SingleCodebook`), or K codebooks in the delay pattern (`DelayedCodebooks`); everything else
sees both as ids (B, S, K). B items, S steps, K codebooks of V outputs each, T frames, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from amtts_core.nn.forward_sum_loss import sine_rows
from amtts_core.speech_lm.sampling import BARRED
from amtts_core.speech_lm.streams import IGNORED, CodeStream, to_grid


class TokenTables(nn.Module):
    """Embedding, learned positions and head of a kind of token.

    Args:
        ids: rows of the embedding.
        outputs: of the head.
        positions: rows of the position table.
        dim: channels D.
        bias: whether the head has one.
    """

    def __init__(self, ids: int, outputs: int, *, positions: int, dim: int, bias: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ids, dim)
        self.positions = nn.Embedding(positions, dim)
        self.head = nn.Linear(dim, outputs, bias=bias)

    def embed(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """ids (B, S), positions (S,) or (B, S), None from 0 on -> (B, S, D)."""
        if positions is None:
            return self.embedding(ids) + self.positions.weight[: ids.shape[1]]
        return self.embedding(ids) + self.positions(positions)


@dataclass(frozen=True)
class CodeBatch:
    """The code side of a batch.

    Attributes:
        inputs: (B, S, K).
        targets: (B, S, K), `IGNORED` where there is no loss.
        lengths: (B,) real steps.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor


class CodeTables(TokenTables):
    """Tables whose ids are codes.

    Attributes:
        num_codebooks: K.
        num_codes: ids below this are codes.
        outputs: V logits of a codebook.
        delays: steps that each codebook waits.
        end: id of codebook 0 that ends the speech.
        pad: id that is fed where a codebook does not speak.
    """

    num_codebooks: int
    num_codes: int
    outputs: int
    delays: tuple[int, ...]
    end: int
    pad: int
    used_outputs = 0
    """Outputs of the head that can be spoken; 0 for all."""
    start_tokens = 1
    """Steps before the first code."""

    def start(self) -> Tensor:
        """Ids of the steps before the first code, (S, K) int64."""
        raise NotImplementedError

    def training_pair(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (T, K) of an utterance -> inputs and targets (S, K)."""
        raise NotImplementedError

    def bar(self, logits: Tensor) -> None:
        """Sets logits (R, K, V) to -inf where an id is never spoken, in place; the end is not among them."""
        raise NotImplementedError

    def codebook_tables(self) -> list[tuple[Tensor, Tensor]]:
        """Of each codebook the rows of embedding and head whose first `num_codes` are its codes."""
        raise NotImplementedError

    def input_positions(self, steps: int) -> Tensor:
        """Positions (S,) of training's inputs."""
        return torch.arange(steps, device=self.embedding.weight.device)

    def split(self, logits: Tensor) -> Tensor:
        """(..., K * V) -> (..., K, V)."""
        return logits.unflatten(-1, (self.num_codebooks, -1))

    def stream(self, *, min_frames: int, max_frames: int) -> CodeStream:
        """What collects the codes of an item."""
        return CodeStream(
            self.delays, end=self.end, pad=self.pad, min_frames=min_frames, max_frames=max_frames
        )

    def to_batch(self, codes: Sequence[Tensor]) -> CodeBatch:
        """Inputs and targets of utterances whose codes are (T, K) each."""
        inputs, targets = zip(*(self.training_pair(item) for item in codes), strict=True)
        return CodeBatch(
            inputs=pad_sequence(list(inputs), batch_first=True, padding_value=self.pad),
            targets=pad_sequence(list(targets), batch_first=True, padding_value=IGNORED),
            lengths=torch.tensor([len(item) for item in inputs], device=codes[0].device),
        )


class SingleCodebook(CodeTables):
    """One code a step; start and end are ids of the same table.

    Args:
        ids: rows of embedding and head.
        num_codes: ids below this, start and end aside, are codes; those from here on are unused.
        start: id before the first code.
        end: id that ends the speech.
        positions: rows of the position table.
        dim: channels D.
        bias: whether the head has one.
        start_tokens: how many starts stand before the first code, all of them at position 0.
    """

    num_codebooks, delays = 1, (0,)

    def __init__(
        self,
        ids: int,
        *,
        num_codes: int,
        start: int,
        end: int,
        positions: int,
        dim: int,
        bias: bool = True,
        start_tokens: int = 1,
    ) -> None:
        super().__init__(ids, ids, positions=positions, dim=dim, bias=bias)
        self.num_codes, self.outputs, self.end, self.pad = min(num_codes, start, end), ids, end, end
        self.start_id, self._unused, self.start_tokens = start, num_codes, start_tokens
        self.used_outputs = max(num_codes - 1, start, end) + 1

    def start(self) -> Tensor:
        """See `CodeTables`."""
        return torch.full((self.start_tokens, 1), self.start_id, device=self.embedding.weight.device)

    def input_positions(self, steps: int) -> Tensor:
        """See `CodeTables`."""
        return (super().input_positions(steps) - (self.start_tokens - 1)).clamp(min=0)

    def training_pair(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """See `CodeTables`; no start predicts a start."""
        starts = codes.new_full((self.start_tokens, 1), self.start_id)
        ignored, end = codes.new_full((self.start_tokens - 1, 1), IGNORED), codes.new_full((1, 1), self.end)
        return torch.cat([starts, codes]), torch.cat([ignored, codes, end])

    def bar(self, logits: Tensor) -> None:
        """See `CodeTables`."""
        logits[..., self.start_id] = BARRED
        logits[..., self._unused : self.end] = BARRED
        logits[..., max(self._unused, self.end + 1) :] = BARRED

    def embed(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """ids (B, S, 1), positions as in `TokenTables` -> (B, S, D)."""
        return super().embed(
            ids[..., 0], self.input_positions(ids.shape[1]) if positions is None else positions
        )

    def codebook_tables(self) -> list[tuple[Tensor, Tensor]]:
        """See `CodeTables`."""
        return [(self.embedding.weight, self.head.weight)]


class DelayedCodebooks(CodeTables):
    """K codes a step: embeddings are summed, heads are parallel.

    Codebook k's embeddings are rows k * (V + 1) on: the codes, the end, padding; its outputs k * V on: codes, the end.

    Args:
        num_codebooks: K.
        num_codes: entries of a codebook.
        delays: steps that each codebook waits, the first 0.
        positions: rows of the position table.
        dim: channels D.
    """

    offsets: Tensor

    def __init__(
        self, num_codebooks: int, num_codes: int, *, delays: Sequence[int], positions: int, dim: int
    ) -> None:
        outputs = num_codes + 1
        super().__init__(
            num_codebooks * (outputs + 1), num_codebooks * outputs, positions=positions, dim=dim, bias=True
        )
        self.num_codebooks, self.num_codes, self.outputs = num_codebooks, num_codes, outputs
        self.delays, self.end, self.pad = tuple(delays), num_codes, num_codes + 1
        self.register_buffer("offsets", torch.arange(num_codebooks) * (outputs + 1), persistent=False)

    def start(self) -> Tensor:
        """See `CodeTables`."""
        return torch.full((1, self.num_codebooks), self.pad, device=self.embedding.weight.device)

    def training_pair(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """See `CodeTables`."""
        return to_grid(codes, self.delays, end=self.end, pad=self.pad)

    def bar(self, logits: Tensor) -> None:
        """See `CodeTables`; only codebook 0 ends the speech."""
        logits[:, 1:, self.end] = BARRED

    def embed(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """ids (B, S, K), positions as in `TokenTables` -> (B, S, D)."""
        at = self.input_positions(ids.shape[1]) if positions is None else positions
        return self.embedding(ids + self.offsets).sum(dim=-2) + self.positions(at)

    def codebook_tables(self) -> list[tuple[Tensor, Tensor]]:
        """See `CodeTables`."""
        count = self.num_codebooks
        return list(zip(self.embedding.weight.chunk(count), self.head.weight.chunk(count), strict=True))


def start_positions(text: TokenTables, speech: TokenTables, pace: float) -> None:
    """Position tables of a new network start as sines that meet at a pace, see `sine_rows`; 0 leaves them random."""
    for tables, rate in ((text, pace), (speech, 1.0)) if pace else ():
        table = tables.positions
        with torch.no_grad():
            table.weight.copy_(sine_rows(len(table.weight), table.embedding_dim, rate=rate))
