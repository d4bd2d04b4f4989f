"""What a checkpoint remembers of its speakers: a vector and a prompt each, so that it can speak without a recording,
and how many codes a text token took at least and at most, so that it notices a speech of implausible length.

V speakers, E channels of a vector, P prompt tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.config import T3Config


def fixed_vectors(count: int, size: int) -> Tensor:
    """Unit vectors without negative channels (V, E), the same in every run: what a voice encoder would give, by lot."""
    random = torch.Generator().manual_seed(20_250_529)
    return functional.normalize(torch.rand(count, size, generator=random), dim=1)


class VoiceTable(nn.Module):
    """Buffers only; nothing here is trained. `pace` is in thousandths: an average of weights leaves integers alone."""

    vectors: Tensor
    prompts: Tensor
    prompt_lengths: Tensor
    pace: Tensor

    def __init__(self, config: T3Config, count: int) -> None:
        super().__init__()
        self.register_buffer("vectors", fixed_vectors(count, config.speaker_size))
        self.register_buffer("prompts", torch.zeros(count, config.prompt_tokens, dtype=torch.long))
        self.register_buffer("prompt_lengths", torch.zeros(count, dtype=torch.long))
        self.register_buffer("pace", torch.zeros(2, dtype=torch.long))

    @torch.no_grad()
    def remember(self, speaker: int, codes: Tensor, vector: Tensor | None = None) -> None:
        """Keeps the beginning of the longest clip of a speaker, as far as a prompt goes, and that clip's vector."""
        length = min(len(codes), self.prompts.shape[1])
        if length > int(self.prompt_lengths[speaker]):
            self.prompts[speaker, :length] = codes[:length]
            self.prompt_lengths[speaker] = length
            if vector is not None:
                self.vectors[speaker] = vector.to(self.vectors)

    @torch.no_grad()
    def watch_pace(self, codes: Tensor, tokens: Tensor) -> None:
        """Takes in utterances: speech codes (B,) and text tokens with their marks (B,)."""
        ratios = (1000 * codes / tokens).long()
        least, most = int(ratios.min()), int(ratios.max())
        known = bool(self.pace[1])
        self.pace[0] = min(int(self.pace[0]), least) if known else least
        self.pace[1] = max(int(self.pace[1]), most)

    @property
    def codes_per_token(self) -> tuple[float, float] | None:
        """Fewest and most codes a token of a text with its marks took in training; None before any."""
        least, most = (value / 1000 for value in self.pace.tolist())
        return (least, most) if most else None
