"""Convolutions of seven taps with fewer products, beside the ordinary ones in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from amtts_codecs.dac import toom_cook
from amtts_codecs.dac.toom_cook import SevenTaps, matrices, pays


def test_the_matrices_are_exact() -> None:
    out, taps, into = matrices()
    torch.manual_seed(0)
    weight, samples = (torch.randn(n, dtype=torch.float64) for n in (7, 10))
    expected = nn.functional.conv1d(samples[None, None], weight[None, None])[0, 0]
    torch.testing.assert_close(out @ ((taps @ weight) * (into @ samples)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dilation", [1, 3, 9])
@pytest.mark.parametrize(("count", "samples"), [(1, 1), (1, 4), (2, 37), (3, 140), (1, 2001)])
def test_it_is_the_convolution(dilation: int, count: int, samples: int) -> None:
    torch.manual_seed(samples)
    layer = nn.Conv1d(48, 48, 7, padding=3 * dilation, dilation=dilation)
    hidden = torch.randn(count, 48, 1, samples).contiguous(memory_format=torch.channels_last)
    before = hidden.clone()
    with torch.inference_mode():
        found = SevenTaps(layer)(hidden)
        expected = layer.double()(hidden[:, :, 0].double())
    assert found.shape == hidden.shape
    assert torch.equal(hidden, before)
    error = (found[:, :, 0] - expected).abs().max() / expected.abs().max()
    assert float(error) < 3e-5


def test_layers_that_gain_nothing_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toom_cook, "CHANNELS", 32)
    assert pays(nn.Conv1d(32, 32, 7, padding=9, dilation=3))
    for other in (
        nn.Conv1d(16, 16, 7, padding=3),
        nn.Conv1d(32, 64, 7, padding=3),
        nn.Conv1d(32, 32, 7),
        nn.Conv1d(32, 32, 7, padding=3, stride=2),
        nn.Conv1d(32, 32, 7, padding=3, groups=4),
        nn.Conv1d(32, 32, 5, padding=2),
        nn.Conv1d(32, 32, 7, padding=3).to(torch.bfloat16),
        nn.ConvTranspose1d(32, 32, 7, padding=3),
    ):
        assert not pays(other)
