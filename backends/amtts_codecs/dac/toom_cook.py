"""Convolutions of 7 taps with fewer products: Toom-Cook (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308).

Four neighbouring outputs are a product of polynomials, taken at ten points instead of 28 products of tap and sample.
With many channels the ten matrix products outweigh the ways to the points and back. A dilated convolution is one over
every d-th sample, d times. The price is rounding: 5e-6 of a layer's output in float32, an ordinary convolution's 2e-7.
B items, C channels, T samples, d dilation, J tiles of M outputs, N points.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import TypeGuard

import torch
from torch import Tensor, nn

TAPS, M = 7, 4
N = M + TAPS - 1
POINTS = [Fraction(p) for p in (0, 1, -1, 2, -2, "1/2", "-1/2", 4, "-1/4")]
"""And infinity. Small numbers and their inverses round least."""
CHANNELS = 256
"""Fewer channels are as fast or faster in the ordinary way."""
ROWS = 128
"""Tiles that are multiplied together: enough for fast products, few enough for the cache."""


def pays(layer: nn.Module) -> TypeGuard[nn.Conv1d]:
    """Whether `SevenTaps` can take the place of a layer and is faster on a CPU."""
    return (
        isinstance(layer, nn.Conv1d)
        and layer.kernel_size == (TAPS,)
        and layer.stride == (1,)
        and layer.padding == (TAPS // 2 * layer.dilation[0],)
        and layer.groups == 1
        and layer.in_channels == layer.out_channels >= CHANNELS
        and layer.weight.dtype == torch.float32
        and layer.weight.device.type == "cpu"
    )


class SevenTaps(nn.Module):
    """A padded convolution of 7 taps and stride 1, on (B, C, 1, T) with channels last, for inference."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        out, taps, into = matrices()
        weight = torch.einsum("nk,ock->nco", taps, layer.weight.detach().double()).float()
        self.register_buffer("weight", weight.contiguous(), persistent=False)  # (N, C, C')
        self.register_buffer("into", into.float(), persistent=False)
        self.register_buffer("out", out.float(), persistent=False)
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.dilation = layer.dilation[0]

    weight: Tensor
    into: Tensor
    out: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        count, channels, _, samples = hidden.shape
        apart = self.dilation
        tiles = -(-samples // (apart * M))
        length = tiles * M + TAPS - 1
        padded = hidden.new_zeros(count, length * apart, channels)
        begin = TAPS // 2 * apart
        padded[:, begin : begin + samples] = hidden[:, :, 0].transpose(1, 2)
        lines = padded.view(count, length, apart, channels).transpose(1, 2).contiguous().flatten(0, 1)
        windows = lines.as_strided(
            (len(lines), tiles, N, channels), (length * channels, M * channels, channels, 1)
        )
        found = hidden.new_empty(len(lines), tiles, M, channels)
        there, product = (hidden.new_empty(ROWS, N, channels) for _ in range(2))
        for group in _groups(len(lines), tiles):
            used = 0
            for line, first, last in group:
                rows = last - first
                into = self.into.expand(rows, N, N)
                torch.bmm(into, windows[line, first:last], out=there[used : used + rows])
                used += rows
            for point in range(N):
                torch.mm(there[:used, point], self.weight[point], out=product[:used, point])
            used = 0
            for line, first, last in group:
                rows = last - first
                out = self.out.expand(rows, M, N)
                torch.bmm(out, product[used : used + rows], out=found[line, first:last])
                used += rows
        whole = found.view(count, apart, tiles * M, channels).transpose(1, 2)
        result = whole.reshape(count, -1, channels)[:, :samples]
        if self.bias is not None:
            result += self.bias
        return result.transpose(1, 2)[:, :, None]


def _groups(lines: int, tiles: int) -> Iterator[list[tuple[int, int, int]]]:
    """Pieces (line, first tile, last tile) that are multiplied together, at most `ROWS` tiles."""
    group: list[tuple[int, int, int]] = []
    room = ROWS
    for line in range(lines):
        for first in range(0, tiles, ROWS):
            last = min(tiles, first + ROWS)
            if last - first > room:
                yield group
                group, room = [], ROWS
            group.append((line, first, last))
            room -= last - first
    yield group


@cache
def matrices() -> tuple[Tensor, Tensor, Tensor]:
    """(M, N), (N, 7) and (N, N) float64: y = out ((taps g) * (into x)) are the M sums of 7 taps g over N samples x.

    The product of two polynomials is known by its values at N points; what is wanted here is its transpose.
    """

    def at_points(size: int) -> list[list[Fraction]]:
        rows = [[point**power for power in range(size)] for point in POINTS]
        return [*rows, [Fraction(int(power == size - 1)) for power in range(size)]]

    inverse = _inverse(at_points(N))
    taps = torch.tensor([[float(x) for x in row] for row in at_points(TAPS)], dtype=torch.float64)
    out = torch.tensor([[float(x) for x in row] for row in at_points(M)], dtype=torch.float64).t()
    into = torch.tensor([[float(x) for x in row] for row in inverse], dtype=torch.float64).t()
    scale = into.abs().amax(dim=1).log2().round().exp2()[:, None]  # powers of two: exact
    return out.contiguous(), taps * scale, into / scale


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gauss and Jordan, without rounding."""
    size = len(matrix)
    rows = [row + [Fraction(int(i == j)) for j in range(size)] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [x / rows[column][column] for x in rows[column]]
        for i in range(size):
            if i != column and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[column], strict=True)]
    return [row[size:] for row in rows]
