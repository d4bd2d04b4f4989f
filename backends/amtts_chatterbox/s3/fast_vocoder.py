"""HiFT's decoder with channels last: the same weights and sums, on a CPU faster than the modules it is made from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from amtts_chatterbox.s3.vocoder import FFT, FFT_HOP, STRIDES, Hift, Resblock
from amtts_core.nn.channels_last import channels_last, snake


class FastHift:
    """`Hift.decode` for inference, in float32.

    Args:
        vocoder: in evaluation mode, on the device where it will run; later changes of its weights are not seen.
    """

    def __init__(self, vocoder: Hift) -> None:
        self._vocoder = vocoder
        self._convolutions: dict[nn.Module, nn.Module] = {
            layer: channels_last(layer)
            for name, layer in vocoder.named_modules()
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d) and not name.startswith("f0_predictor")
        }

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """Waveform (B, T) of mels (B, 80, L) and their source (B, T)."""
        vocoder = self._vocoder
        window = torch.hann_window(FFT, device=mel.device)
        spectrum = torch.stft(source, FFT, FFT_HOP, window=window, center=True, return_complex=True)
        driving = _wide(torch.cat([spectrum.real, spectrum.imag], dim=1))
        hidden = self._convolve(vocoder.conv_pre, _wide(mel))
        for stage, (up, down, block) in enumerate(
            zip(vocoder.ups, vocoder.source_downs, vocoder.source_resblocks, strict=True)
        ):
            hidden = self._convolve(up, functional.leaky_relu_(hidden, 0.1))
            if stage == len(STRIDES) - 1:
                hidden = torch.cat([hidden[..., 1:2], hidden], dim=3)
            hidden += self._resblock(block, self._convolve(down, driving))
            several = list(vocoder.resblocks[3 * stage : 3 * stage + 3])
            mixed = self._resblock(several[0], hidden)
            for resblock in several[1:]:
                mixed += self._resblock(resblock, hidden)
            hidden = mixed.div_(len(several))
        out = self._convolve(vocoder.conv_post, functional.leaky_relu_(hidden, 0.01))
        return vocoder.waveform(out[:, :, 0], window)

    def _resblock(self, block: nn.Module, hidden: Tensor) -> Tensor:
        assert isinstance(block, Resblock)
        for first, second, one, two in zip(
            block.convs1, block.convs2, block.alphas1, block.alphas2, strict=True
        ):
            change = self._convolve(first, snake(hidden, one))
            change = self._convolve(second, snake(change, two, replace=True))
            hidden = change.add_(hidden)
        return hidden

    def _convolve(self, layer: nn.Module, hidden: Tensor) -> Tensor:
        out: Tensor = self._convolutions[layer](hidden)
        return out


def _wide(signal: Tensor) -> Tensor:
    """(B, C, T) -> (B, C, 1, T), channels last."""
    return signal[:, :, None].contiguous(memory_format=torch.channels_last)
