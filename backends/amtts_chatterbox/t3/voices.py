"""What a checkpoint remembers of its speakers: a vector and a prompt each, so that it can speak without a recording.

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
    """Buffers only; nothing here is trained."""

    vectors: Tensor
    prompts: Tensor
    prompt_lengths: Tensor

    def __init__(self, config: T3Config, count: int) -> None:
        super().__init__()
        self.register_buffer("vectors", fixed_vectors(count, config.speaker_size))
        self.register_buffer("prompts", torch.zeros(count, config.prompt_tokens, dtype=torch.long))
        self.register_buffer("prompt_lengths", torch.zeros(count, dtype=torch.long))

    @torch.no_grad()
    def remember(self, speaker: int, codes: Tensor, vector: Tensor | None = None) -> None:
        """Keeps the beginning of the longest clip of a speaker, as far as a prompt goes, and that clip's vector."""
        length = min(len(codes), self.prompts.shape[1])
        if length > int(self.prompt_lengths[speaker]):
            self.prompts[speaker, :length] = codes[:length]
            self.prompt_lengths[speaker] = length
            if vector is not None:
                self.vectors[speaker] = vector.to(self.vectors)
