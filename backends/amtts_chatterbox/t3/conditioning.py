"""What stands before the text: a speaker vector, a prompt condensed by a perceiver, one number for emotion.

B items, P prompt tokens, Q queries, D channels. No position is added to the result; the speech position table is
added to the prompt before it comes here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.config import T3Config


class PerceiverAttention(nn.Module):
    """Attention with a residual query; one norm for both sides, biases everywhere."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        width = config.hidden
        self.heads, self.dropout = config.perceiver_heads, config.perceiver_dropout
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """query (B, Q, D), memory (B, P, D), mask (B, P) true where it may be seen -> (B, Q, D)."""
        query_normed, memory_normed = self.norm(query), self.norm(memory)
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(query_normed)),
            self._split(self.key(memory_normed)),
            self._split(self.value(memory_normed)),
            attn_mask=None if mask is None else mask[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return query + self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Perceiver(nn.Module):
    """Learned queries look at the prompt, then at each other, through the same weights (Jaegle et al. 2021)."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        bound = (3 / config.perceiver_queries) ** 0.5  # uniform with variance 1 / Q, as published
        self.queries = nn.Parameter(
            torch.empty(1, config.perceiver_queries, config.hidden).uniform_(-bound, bound)
        )
        self.attention = PerceiverAttention(config)

    def forward(self, prompt: Tensor, mask: Tensor | None = None) -> Tensor:
        """prompt (B, P, D), mask (B, P) -> (B, Q, D)."""
        seen = self.attention(self.queries.expand(len(prompt), -1, -1), prompt, mask)
        return self.attention(seen, seen)


class Conditioning(nn.Module):
    """The vectors before the text, in order: speaker, Q of the prompt, emotion."""

    def __init__(self, config: T3Config) -> None:
        super().__init__()
        self.speaker = nn.Linear(config.speaker_size, config.hidden)
        self.perceiver = Perceiver(config)
        self.emotion = nn.Linear(1, config.hidden, bias=False)

    def forward(
        self, speaker: Tensor, emotion: Tensor, prompt: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        """One vector, Q vectors, one vector.

        Args:
            speaker: (B, S).
            emotion: (B,).
            prompt: (B, P, D), embedded and with positions.
            lengths: (B,) tokens of each prompt; None means P for all. An item of length 0 gets meaningless vectors
                in the middle that the caller leaves out.

        Returns:
            (B, 1 + Q + 1, D).
        """
        mask = None
        if lengths is not None:
            # One position stays visible, or the softmax of an empty prompt would be NaN.
            mask = torch.arange(prompt.shape[1], device=prompt.device) < lengths[:, None].clamp(min=1)
        condensed = self.perceiver(prompt, mask)
        return torch.cat(
            [self.speaker(speaker)[:, None], condensed, self.emotion(emotion[:, None, None])], dim=1
        )
