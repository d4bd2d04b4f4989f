"""Convolutions whose low precision kernels are wrong are found before a training relies on them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from amtts_core.errors import AmttsError
from amtts_core.nn import bf16_check as low_precision
from amtts_core.nn.bf16_check import require_sound

ADVICE = {"asked": "training.precision bf16", "remedy": "Use fp32"}


def layers() -> dict[str, nn.Module]:
    return {
        "net": nn.Sequential(
            nn.Conv1d(16, 16, 3),
            nn.Conv1d(16, 32, 7, dilation=3, groups=4),
            nn.Conv2d(4, 8, (5, 1), stride=(3, 1)),
            nn.ConvTranspose1d(64, 32, 4, stride=2),
        )
    }


def test_sound_convolutions_pass_and_draw_nothing() -> None:
    networks = layers()
    before = torch.get_rng_state()
    require_sound(networks, torch.bfloat16, **ADVICE)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("broken", ["output", "gradient"])
def test_a_wrong_kernel_is_named(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, out):
            return out * 2 if broken == "output" else out.clone()

        @staticmethod
        def backward(ctx, blame):
            return blame * 2 if broken == "gradient" else blame

    def kernel(given, weight, *args, **kwargs):
        out = functional.conv1d(given, weight, *args, **kwargs)
        return Wrong.apply(out) if given.dtype == torch.bfloat16 and weight.shape[1:] == (16, 3) else out

    monkeypatch.setitem(low_precision._RUN, nn.Conv1d, kernel)
    told = (
        r"training.precision bf16: the convolution net.0 \(16 -> 16 channels, taps \[3\], stride \[1\]\) is "
        r"wrong by 100 %"
    )
    with pytest.raises(AmttsError, match=told):
        require_sound(layers(), torch.bfloat16, **ADVICE)


def test_each_shape_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(low_precision, "_error", lambda layer, dtype: tried.append(layer) or 0.0)
    twice = layers()["net"]
    require_sound({"one": twice, "two": layers()["net"]}, torch.bfloat16, **ADVICE)
    assert tried == list(twice)
