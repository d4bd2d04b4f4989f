"""What a checkpoint remembers of its speakers: a vector and a prompt each, so that it can speak without a recording,
and how many codes a text token took at least and at most, so that it notices a speech of implausible length.

V speakers, E channels of a vector, P prompt tokens.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.t3.config import T3Config
from amtts_core.contract.learner import AllReduce


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
        self._met: dict[int, tuple[int, Tensor, Tensor]] = {}
        """Speaker -> rank, codes and vector of the best clip of this step."""
        self._paces: list[tuple[int, int]] = []
        """Least and most of 1000 x codes a token of each batch of this step."""

    def begin_step(self) -> None:
        """Forgets the clips of an unfinished step."""
        self._met, self._paces = {}, []

    def meet(self, speaker: int, codes: Tensor, vector: Tensor) -> None:
        """A clip of this step; it is kept if it is longer than the one kept, as far as a prompt goes."""
        length = min(len(codes), self.prompts.shape[1])
        if length > int(self.prompt_lengths[speaker]):
            codes = codes[:length].detach().cpu()
            # Of equally long clips the checksum decides: the same one in whichever order processes meet them.
            rank = (length << 32) + zlib.crc32(codes.numpy().tobytes())
            if rank > self._met.get(speaker, (0,))[0]:
                self._met[speaker] = (rank, codes, vector.detach())

    def watch_pace(self, codes: Tensor, tokens: Tensor) -> None:
        """Utterances of this step: speech codes (B,) and text tokens with their marks (B,)."""
        ratios = (1000 * codes / tokens).long()
        self._paces += [(int(ratios.min()), int(ratios.max()))]

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce) -> None:
        """Keeps the longest clip of each speaker, and that clip's vector."""
        ranks = torch.zeros_like(self.prompt_lengths)
        for speaker, (rank, _, _) in self._met.items():
            ranks[speaker] = rank
        own = ranks.clone()
        all_reduce.maximum(ranks)
        changed = ranks > 0
        if bool(changed.any()):
            prompts, vectors = torch.zeros_like(self.prompts), torch.zeros_like(self.vectors)
            for speaker, (rank, codes, vector) in self._met.items():
                if rank == int(ranks[speaker]):
                    prompts[speaker, : len(codes)] = codes.to(prompts)
                    vectors[speaker] = vector.to(vectors)
            holders = (changed & (own == ranks)).long()  # a clip that two processes met counts once
            for tensor in (holders, prompts, vectors):
                all_reduce.sum(tensor)
            holders = holders.clamp(min=1)[:, None]
            self.prompts[changed] = torch.div(prompts, holders, rounding_mode="floor")[changed]
            self.vectors[changed] = (vectors / holders)[changed]
            self.prompt_lengths[changed] = ranks[changed] >> 32
        self._met = {}
        self._keep_pace(all_reduce)

    def _keep_pace(self, all_reduce: AllReduce) -> None:
        seen = torch.zeros_like(self.pace)
        if self._paces:  # the least as its negative, so that one maximum serves both
            seen[0] = -min(least for least, _ in self._paces)
            seen[1] = max(most for _, most in self._paces)
        else:
            seen[0] = torch.iinfo(torch.long).min + 1
        all_reduce.maximum(seen)
        if bool(seen[1]):
            known = bool(self.pace[1])
            self.pace[0] = torch.minimum(self.pace[0], -seen[0]) if known else -seen[0]
            self.pace[1] = torch.maximum(self.pace[1], seen[1])
        self._paces = []

    @property
    def codes_per_token(self) -> tuple[float, float] | None:
        """Fewest and most codes a token of a text with its marks took in training; None before any."""
        least, most = (value / 1000 for value in self.pace.tolist())
        return (least, most) if most else None
