"""CAMPPlus: a recording's filter banks to an x-vector of 192 channels that says who speaks.

CAM++ (Wang et al. 2023, arXiv 2303.00332; 3D-Speaker and FunASR): a small 2-D head, then densely connected time-delay
layers, each gated by the mean of the whole recording and of the 100 frames around (context-aware masking).
B items, L frames, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.s3.front_ends import SHORTEST_FBANK, kaldi_fbank
from amtts_core.errors import AmttsError

VECTOR = 192
HEAD_CHANNELS = 32
SEGMENT = 100
DENSE_LAYERS, DENSE_DILATIONS = (12, 24, 16), (1, 2, 2)


class HeadBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut over (frequency, time); the stride is the frequency's."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        width = HEAD_CHANNELS
        self.conv1 = nn.Conv2d(width, width, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride > 1:
            narrow = nn.Conv2d(width, width, 1, stride=(stride, 1), bias=False)
            self.shortcut = nn.Sequential(narrow, nn.BatchNorm2d(width))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 32, F, L) -> (B, 32, F / stride, L)."""
        inner = self.bn2(self.conv2(self.bn1(self.conv1(image)).relu_()))
        return inner.add_(self.shortcut(image)).relu_()


class Head(nn.Module):
    """Filter banks as an image: (B, 80, L) -> (B, 320, L)."""

    def __init__(self) -> None:
        super().__init__()
        width = HEAD_CHANNELS
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(HeadBlock(2), HeadBlock(1))
        self.layer2 = nn.Sequential(HeadBlock(2), HeadBlock(1))
        self.conv2 = nn.Conv2d(width, width, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, banks: Tensor) -> Tensor:
        """Channels of the result count frequency fastest."""
        image = self.layer2(self.layer1(self.bn1(self.conv1(banks[:, None])).relu_()))
        return self.bn2(self.conv2(image)).relu_().flatten(1, 2)


class ContextGate(nn.Module):
    """A dilated convolution, each frame scaled by what the whole and its segment of 100 frames are like."""

    def __init__(self, bottleneck: int, growth: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(bottleneck, growth, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(bottleneck, bottleneck // 2, 1)
        self.linear2 = nn.Conv1d(bottleneck // 2, growth, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, L) -> (B, growth, L); a last segment that is short is the mean of what it has."""
        frames = hidden.shape[2]
        segment = functional.avg_pool1d(hidden, SEGMENT, SEGMENT, ceil_mode=True)
        context = hidden.mean(2, keepdim=True) + segment
        gate = torch.sigmoid(self.linear2(self.linear1(context).relu_()))
        return self.linear_local(hidden) * gate.repeat_interleave(SEGMENT, 2)[..., :frames]


class DenseLayer(nn.Module):
    """Norm, ReLU and bottleneck, norm, ReLU and gate: what one layer adds to all before it."""

    def __init__(self, channels: int, bottleneck: int, growth: int, dilation: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm1d(channels)
        self.linear1 = nn.Conv1d(channels, bottleneck, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(bottleneck)
        self.gate = ContextGate(bottleneck, growth, dilation)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, L) -> (B, growth, L)."""
        inner = self.linear1(self.norm1(hidden).relu_())
        out: Tensor = self.gate(self.norm2(inner).relu_())
        return out


class Transit(nn.Module):
    """Norm, ReLU and a convolution of one frame to half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, L) -> (B, C / 2, L)."""
        out: Tensor = self.linear(self.norm(hidden).relu_())
        return out


class Tdnn(nn.Module):
    """A convolution of 5 frames with stride 2, norm, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, width, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, L) -> (B, width, L / 2)."""
        return self.norm(self.linear(hidden)).relu_()


class Projection(nn.Module):
    """Mean and deviation to the x-vector; its norm has neither weight nor bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, VECTOR, 1, bias=False)
        self.norm = nn.BatchNorm1d(VECTOR, affine=False)

    def forward(self, statistics: Tensor) -> Tensor:
        """(B, C) -> (B, 192)."""
        out: Tensor = self.norm(self.linear(statistics[..., None])[..., 0])
        return out


class CampPlus(nn.Module):
    """Centered filter banks (B, L, 80) to x-vectors (B, 192), not normalized. Rows have to be of equal length.

    Args:
        width: channels before the first dense block.
        growth: channels that a dense layer adds.
        bottleneck: channels inside it.
    """

    def __init__(self, *, width: int = 128, growth: int = 32, bottleneck: int = 128) -> None:
        super().__init__()
        self.head = Head()
        self.tdnn = Tdnn(HEAD_CHANNELS * 10, width)
        for number, (layers, dilation) in enumerate(zip(DENSE_LAYERS, DENSE_DILATIONS, strict=True), 1):
            block = nn.ModuleDict()
            for layer in range(layers):
                dense = DenseLayer(width + layer * growth, bottleneck, growth, dilation)
                block[f"tdnnd{layer + 1}"] = dense
            width += layers * growth
            self.add_module(f"block{number}", block)
            self.add_module(f"transit{number}", Transit(width))
            width //= 2
        self.out_norm = nn.BatchNorm1d(width)
        self.dense = Projection(2 * width)

    def forward(self, banks: Tensor) -> Tensor:
        """See the class; the deviation over time is the unbiased one."""
        hidden = self.tdnn(self.head(banks.transpose(1, 2)))
        for number in range(1, len(DENSE_LAYERS) + 1):
            for layer in self.get_submodule(f"block{number}").children():
                hidden = torch.cat([hidden, layer(hidden)], 1)
            hidden = self.get_submodule(f"transit{number}")(hidden)
        hidden = self.out_norm(hidden).relu_()
        out: Tensor = self.dense(torch.cat([hidden.mean(2), hidden.std(2)], 1))
        return out


@torch.inference_mode()
def x_vectors(encoder: CampPlus, waveforms: Sequence[Tensor]) -> Tensor:
    """x-vectors (B, 192) of recordings (T,) at 16 kHz, each computed alone: padding would change it.

    Raises:
        AmttsError: a recording is too short to have one.
    """
    rows = []
    for waveform in waveforms:
        if len(waveform) < SHORTEST_FBANK:
            raise AmttsError(
                f"a reference of {len(waveform)} samples at 16 kHz; a speaker embedding needs {SHORTEST_FBANK}"
            )
        banks = kaldi_fbank(waveform)
        rows.append(encoder((banks - banks.mean(0))[None]))
    return torch.cat(rows)
