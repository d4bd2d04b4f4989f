"""What a checkpoint remembers of its speakers, so that it speaks as them without a recording. V speakers.

Each kind of memory holds tensors by name (buffers, one row a speaker; no gradient moves them) and is updated with
the clips of a training step: `begin_step`, `update` for each batch, `end_step` once for all processes together.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from amtts_core.contract.learner import AllReduce

FORGET = 0.02
"""Weight of a step's clips in a running mean."""


class SpeakerMemory(nn.Module):
    """Tensors by name, one row a speaker.

    Args:
        initial: name -> (V, ...) what stands there before training.
    """

    def __init__(self, initial: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = list(initial)
        for name, tensor in initial.items():
            self.register_buffer(name, tensor)
        self.begin_step()

    def rows(self) -> dict[str, Tensor]:
        """Name -> (V, ...)."""
        return {name: self.get_buffer(name) for name in self.names}

    def begin_step(self) -> None:
        """Forgets the clips of an unfinished step."""
        raise NotImplementedError

    def end_step(self, all_reduce: AllReduce) -> None:
        """Updates the rows with the step's clips of all processes."""
        raise NotImplementedError


class RunningMeans(SpeakerMemory):
    """Running means over a speaker's clips: each step moves them towards the mean of its clips."""

    def begin_step(self) -> None:
        """See `SpeakerMemory`."""
        self._sums = {name: torch.zeros_like(rows, dtype=torch.float32) for name, rows in self.rows().items()}
        self._count = torch.zeros(len(self.get_buffer(self.names[0])))

    @torch.no_grad()
    def update(self, speakers: Tensor, clips: Mapping[str, Tensor]) -> None:
        """Clips of this step: speakers (B,), and name -> (B, ...)."""
        for name, values in clips.items():
            self._sums[name] = self._sums[name].to(values.device).index_add(0, speakers, values.float())
        self._count = self._count.to(speakers.device).index_add(
            0, speakers, torch.ones_like(speakers).float()
        )

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce) -> None:
        """See `SpeakerMemory`; a speaker without a mean gets that of the step."""
        device = self.get_buffer(self.names[0]).device
        count = self._count.to(device)
        all_reduce.sum(count)
        there = count > 0
        for name, rows in self.rows().items():
            total = self._sums[name].to(device)
            all_reduce.sum(total)
            if not bool(there.any()):
                continue
            own, shape = rows[there].flatten(1), rows[there].shape
            mean = total[there].flatten(1) / count[there, None]
            known = (own != 0).any(dim=1, keepdim=True)
            rows[there] = torch.where(known, own.lerp(mean.to(own), FORGET), mean.to(own)).view(shape)
        self.begin_step()


class LongestClip(SpeakerMemory):
    """The longest clip of each speaker: tensors of it, and its length.

    `initial` has float tensors, which are kept as they come, and int64 tensors (V, P), of which a clip's first P are.
    """

    lengths: Tensor

    def __init__(self, initial: Mapping[str, Tensor]) -> None:
        super().__init__(initial)
        count = len(next(iter(initial.values())))
        self.register_buffer("lengths", torch.zeros(count, dtype=torch.long))

    def begin_step(self) -> None:
        """See `SpeakerMemory`."""
        self._best: dict[int, tuple[int, dict[str, Tensor]]] = {}

    def update(self, speaker: int, codes: Tensor, clip: Mapping[str, Tensor]) -> None:
        """A clip of this step, kept if it is longer than the one kept, as far as a prompt goes.

        Args:
            speaker: whose.
            codes: (T,) int64; stands under the name of the int64 tensor.
            clip: name -> the float tensors.
        """
        name, room = next(
            (n, rows.shape[1]) for n, rows in self.rows().items() if not rows.is_floating_point()
        )
        length = min(len(codes), room)
        if length > int(self.lengths[speaker]):
            codes = codes[:length].detach().cpu()
            # Of equally long clips the checksum decides: the same one in whichever order processes see them.
            rank = (length << 32) + zlib.crc32(codes.numpy().tobytes())
            if rank > self._best.get(speaker, (0,))[0]:
                kept = {key: value.detach() for key, value in clip.items()}
                self._best[speaker] = rank, {**kept, name: codes}

    @torch.no_grad()
    def end_step(self, all_reduce: AllReduce) -> None:
        """See `SpeakerMemory`."""
        ranks = torch.zeros_like(self.lengths)
        for speaker, (rank, _) in self._best.items():
            ranks[speaker] = rank
        own = ranks.clone()
        all_reduce.maximum(ranks)
        changed = ranks > 0
        if bool(changed.any()):
            holders = (changed & (own == ranks)).long()  # a clip that two processes saw counts once
            all_reduce.sum(holders)
            for name, rows in self.rows().items():
                fresh = torch.zeros_like(rows)
                for speaker, (rank, clip) in self._best.items():
                    if rank == int(ranks[speaker]):
                        fresh[speaker, : len(clip[name])] = clip[name].to(fresh)
                all_reduce.sum(fresh)
                share = holders.clamp(min=1)[:, None]
                rounding = None if rows.is_floating_point() else "floor"
                rows[changed] = torch.div(fresh, share, rounding_mode=rounding)[changed]
            self.lengths[changed] = ranks[changed] >> 32
        self.begin_step()
