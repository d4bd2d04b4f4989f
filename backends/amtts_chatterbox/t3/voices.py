"""What a checkpoint remembers of its speakers: a vector and a prompt each, so that it can speak without a recording.

V speakers, E channels of a vector, P prompt tokens.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.config import T3Config
from amtts_core.backend import Reduction


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
        self._met: dict[int, tuple[int, Tensor, Tensor]] = {}
        """Speaker -> rank, codes and vector of the best clip of this step."""

    def begin_step(self) -> None:
        """Forgets the clips of an unfinished step."""
        self._met = {}

    def meet(self, speaker: int, codes: Tensor, vector: Tensor) -> None:
        """A clip of this step; it is kept if it is longer than the one kept, as far as a prompt goes."""
        length = min(len(codes), self.prompts.shape[1])
        if length > int(self.prompt_lengths[speaker]):
            codes = codes[:length].detach().cpu()
            # Of equally long clips the checksum decides: the same one in whichever order processes meet them.
            rank = (length << 32) + zlib.crc32(codes.numpy().tobytes())
            if rank > self._met.get(speaker, (0,))[0]:
                self._met[speaker] = (rank, codes, vector.detach())

    @torch.no_grad()
    def end_step(self, reduction: Reduction) -> None:
        """Keeps the longest clip of each speaker, and that clip's vector."""
        ranks = torch.zeros_like(self.prompt_lengths)
        for speaker, (rank, _, _) in self._met.items():
            ranks[speaker] = rank
        own = ranks.clone()
        reduction.maximum(ranks)
        changed = ranks > 0
        if bool(changed.any()):
            prompts, vectors = torch.zeros_like(self.prompts), torch.zeros_like(self.vectors)
            for speaker, (rank, codes, vector) in self._met.items():
                if rank == int(ranks[speaker]):
                    prompts[speaker, : len(codes)] = codes.to(prompts)
                    vectors[speaker] = vector.to(vectors)
            holders = (changed & (own == ranks)).long()  # a clip that two processes met counts once
            for tensor in (holders, prompts, vectors):
                reduction.sum(tensor)
            holders = holders.clamp(min=1)[:, None]
            self.prompts[changed] = torch.div(prompts, holders, rounding_mode="floor")[changed]
            self.vectors[changed] = (vectors / holders)[changed]
            self.prompt_lengths[changed] = ranks[changed] >> 32
        self._met = {}
