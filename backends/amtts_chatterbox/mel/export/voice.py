"""Text network and vocoder as one module without control flow: ids of characters to a waveform.

Row 0 of the table of characters is a blank that spells nothing, so engines may put it wherever they like.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from amtts_chatterbox.mel.flow import noise_table
from amtts_chatterbox.mel.network import ChatterboxMel, Encoded, Frames, whole_durations


class ExportedVoice(nn.Module):
    """Characters to a waveform.

    Args:
        network: in evaluation mode on the CPU.
        vocoder: mel (1, M, L) -> waveform (1, T).
        spelling: character -> token ids; the characters' own ids are 1, 2, ... in this order.
        bos, eos: token ids around every text.
    """

    spelling: Tensor
    noise: Tensor

    def __init__(
        self,
        network: ChatterboxMel,
        vocoder: nn.Module,
        spelling: Mapping[str, list[int]],
        *,
        bos: int,
        eos: int,
    ) -> None:
        super().__init__()
        self.network, self.vocoder = network, vocoder
        table = torch.full((len(spelling) + 1, max(map(len, spelling.values()))), -1)
        for row, tokens in enumerate(spelling.values(), 1):
            table[row, : len(tokens)] = torch.tensor(tokens)
        self.register_buffer("spelling", table)
        self.register_buffer("edges", torch.tensor([[bos], [eos]]))
        flow = network.config.flow
        self.steps, self.temperature = flow.steps, flow.temperature
        if network.flow is not None:
            self.register_buffer("noise", noise_table(network.config.mel.n_mels).clone())

    def forward(
        self,
        x: Tensor,
        x_length: Tensor,
        noise_scale: Tensor,
        length_scale: Tensor,
        noise_scale_w: Tensor,
        sid: Tensor | None = None,
    ) -> Tensor:
        """(1, N) ids of characters, (1,) length, three (1,) scales and, with several speakers, (1,) -> (1, 1, T).

        The two noise scales change nothing: a flow begins with the noise of seed 0.
        """
        edges = self.edges
        assert isinstance(edges, Tensor)
        spelt = self.spelling[x[0]]
        inside = (torch.arange(x.shape[1])[:, None] < x_length) & (spelt >= 0)
        tokens = torch.cat([edges[0], spelt.masked_select(inside), edges[1]])[None]
        count = torch.ones_like(tokens).sum(1)
        encoded = self.network.encode(tokens, count, sid)
        mel = self._decoded(encoded, whole_durations(encoded.log_duration, encoded.mask))
        waveform: Tensor = self.vocoder(_at_pace(mel, length_scale).transpose(1, 2))
        return waveform.clamp(-1, 1)[:, None] + 0 * (noise_scale + noise_scale_w)

    def _decoded(self, encoded: Encoded, durations: Tensor) -> Tensor:
        """Mel (1, L, M), natural log."""
        ends = durations.cumsum(1)
        places = torch.arange(ends[0, -1])[None]  # type: ignore[call-overload]  # stays a tensor when traced
        owner = (ends[:, None] <= places[..., None]).long().sum(2)  # (1, L)
        length = durations.gather(1, owner)
        since = (places - (ends.gather(1, owner) - length)).float()
        place = torch.stack([since / 10, since / length.clamp(min=1)], dim=-1)
        prior = encoded.mean[0][owner[0]][None]
        hidden = self.network.expand(encoded.hidden)[0][owner[0]][None] + self.network.place(place)
        frames = Frames(prior, hidden, torch.ones_like(hidden[..., :1]))
        noise = None
        if self.network.flow is not None:
            noise = self.temperature * self.noise[places[0] % len(self.noise)][None]
        return self.network.draw_mel(frames, noise, steps=self.steps)


def _at_pace(mel: Tensor, length_scale: Tensor) -> Tensor:
    """`network.at_pace` of a mel (1, L, M) with 1 / speed as a tensor (1,)."""
    frames = torch.ones_like(mel[0, :, 0]).sum()
    count = (frames * length_scale).round().clamp(min=1)
    at = (torch.arange(count[0]) + 0.5) * (frames / count) - 0.5  # type: ignore[call-overload]
    at = torch.minimum(at.clamp(min=0), frames - 1)
    before = at.floor()
    after = torch.minimum(before + 1, frames - 1)
    share = (at - before)[None, :, None]
    return mel[:, before.long()] * (1 - share) + mel[:, after.long()] * share
