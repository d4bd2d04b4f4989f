"""Monotonic rational-quadratic splines (Durkan et al. 2019, Neural Spline Flows), free of branches.

Same values as the published code, without its boolean masks: values outside the tails are clamped, transformed and
then replaced by themselves, so nothing synchronises a GPU, an empty selection is no error, and it can be exported.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

MIN_BIN = 1e-3
"""Least width and height of a bin, as a share of the interval."""
MIN_SLOPE = 1e-3
_EDGE_SLOPE = math.log(math.exp(1 - MIN_SLOPE) - 1)
"""Raw slope at both tails: softplus of it plus `MIN_SLOPE` is 1, the slope of the identity outside."""


class _Bin(NamedTuple):
    """The bin that each value falls into, all (...)."""

    left: Tensor
    width: Tensor
    bottom: Tensor
    height: Tensor
    slope_left: Tensor
    slope_right: Tensor


def spline(
    values: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, *, tail: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Transforms values by one spline each; the identity outside [-tail, tail].

    Args:
        values: (...).
        widths, heights: (..., K) raw sizes of K bins.
        slopes: (..., K - 1) raw slopes at the inner knots.
        tail: half the interval.
        inverse: undo the transform.

    Returns:
        transformed values (...) and the log of the derivative's absolute value (...), float32.
    """
    with torch.autocast(values.device.type, enabled=False):
        values, widths, heights, slopes = (x.float() for x in (values, widths, heights, slopes))
        inside = (values >= -tail) & (values <= tail)
        clamped = values.clamp(-tail, tail)
        x_knots, y_knots = _knots(widths, tail), _knots(heights, tail)
        slopes = functional.softplus(functional.pad(slopes, (1, 1), value=_EDGE_SLOPE)) + MIN_SLOPE
        found = _bin_of(clamped, x_knots, y_knots, slopes, y_knots if inverse else x_knots)
        moved, log_slope = (_backward if inverse else _forward)(clamped, found)
        return torch.where(inside, moved, values), torch.where(inside, log_slope, torch.zeros_like(values))


def _knots(raw: Tensor, tail: float) -> Tensor:
    """(..., K) raw sizes -> (..., K + 1) positions from -tail to tail."""
    bins = raw.shape[-1]
    sizes = MIN_BIN + (1 - MIN_BIN * bins) * functional.softmax(raw, dim=-1)
    inner = 2 * tail * torch.cumsum(sizes, dim=-1)[..., :-1] - tail
    return functional.pad(functional.pad(inner, (1, 0), value=-tail), (0, 1), value=tail)


def _bin_of(values: Tensor, x_knots: Tensor, y_knots: Tensor, slopes: Tensor, knots: Tensor) -> _Bin:
    index = (values[..., None] >= knots[..., 1:-1]).sum(-1, keepdim=True)

    def at(table: Tensor) -> Tensor:
        return table.gather(-1, index)[..., 0]

    return _Bin(
        left=at(x_knots[..., :-1]),
        width=at(x_knots[..., 1:] - x_knots[..., :-1]),
        bottom=at(y_knots[..., :-1]),
        height=at(y_knots[..., 1:] - y_knots[..., :-1]),
        slope_left=at(slopes[..., :-1]),
        slope_right=at(slopes[..., 1:]),
    )


def _forward(values: Tensor, at: _Bin) -> tuple[Tensor, Tensor]:
    place = (values - at.left) / at.width
    mean_slope, curve = _shape(at)
    bend = mean_slope + curve * place * (1 - place)
    risen = at.height * (mean_slope * place.square() + at.slope_left * place * (1 - place))
    return at.bottom + risen / bend, _log_slope(place, at)


def _backward(values: Tensor, at: _Bin) -> tuple[Tensor, Tensor]:
    mean_slope, curve = _shape(at)
    risen = values - at.bottom
    a = at.height * (mean_slope - at.slope_left) + risen * curve
    b = at.height * at.slope_left - risen * curve
    c = -mean_slope * risen
    root = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
    return root * at.width + at.left, -_log_slope(root, at)


def _shape(at: _Bin) -> tuple[Tensor, Tensor]:
    mean_slope = at.height / at.width
    return mean_slope, at.slope_left + at.slope_right - 2 * mean_slope


def _log_slope(place: Tensor, at: _Bin) -> Tensor:
    mean_slope, curve = _shape(at)
    bend = mean_slope + curve * place * (1 - place)
    rise = (
        at.slope_right * place.square()
        + 2 * mean_slope * place * (1 - place)
        + at.slope_left * (1 - place).square()
    )
    return (mean_slope.square() * rise).log() - 2 * bend.log()
