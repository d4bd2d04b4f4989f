"""An 8-bit copy of the network for decoding on a CPU, where the time goes into reading weights."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn

from amtts_indextts2.network import IndexTTS2Gpt


def quantized(network: IndexTTS2Gpt) -> IndexTTS2Gpt:
    """A copy whose linear layers hold int8 weights (one scale a layer) and quantise their input as they run.

    Tables, norms and attention stay as they are. It cannot be trained or saved.
    """
    from torch.ao.quantization import quantize_dynamic

    small = copy.deepcopy(network).cpu().float().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its successor is a package of its own
        warnings.simplefilter("ignore", UserWarning)
        for part in (small.trunk, small.speech):
            quantize_dynamic(part, {nn.Linear}, dtype=torch.qint8, inplace=True)
    return small


class QuantizedCopy:
    """Keeps the 8-bit copy of a network and makes it again when the network has changed."""

    def __init__(self) -> None:
        self._copy: IndexTTS2Gpt | None = None
        self._version = -1

    def of(self, network: IndexTTS2Gpt) -> IndexTTS2Gpt:
        """The copy of `network` as it is now."""
        version = sum(parameter._version for parameter in network.parameters())
        if self._copy is None or version != self._version:
            self._copy, self._version = quantized(network), version
        return self._copy
