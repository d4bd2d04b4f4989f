"""DAC as a `SpeechCodec`: pads to whole frames, encodes batches exactly, keeps the first codebooks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DacModel

from amtts_codecs.dac.fast import FastDac
from amtts_codecs.dac.reference import reference_checks
from amtts_codecs.dac.weights import load_dac
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.contract.codec import SpeechCodec, kept_codebooks, require_codes, sample_counts
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.errors import CheckpointError
from amtts_core.nn.bf16_check import require_sound

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class DacCodec(SpeechCodec):
    """Descript's audio codec. B items, T samples, K codebooks, L = ceil(T / hop) frames.

    Args:
        network: in evaluation mode.
        num_codebooks: codebooks that `encode` returns; the published models were trained so that the first ones
            decode alone.
    """

    name = "dac"
    precisions = tuple(DTYPES)
    has_reference_checks = True
    license = "MIT (published weights of descript-audio-codec)"

    def __init__(self, network: DacModel, *, num_codebooks: int) -> None:
        self.network = network
        self.num_codebooks = num_codebooks
        self.sample_rate = int(network.config.sampling_rate)
        self.hop = int(network.config.hop_length)
        self.frame_rate = self.sample_rate / self.hop
        self.cardinality = int(network.config.codebook_size)
        self.weights_hash = weights_fingerprint(network.state_dict())
        self._fast: FastDac | None = None
        self._dtype = torch.float32

    @classmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> DacCodec:
        """The codec of an official `.pth` file, a Hugging Face folder, or a run or checkpoint of the backend `dac`."""
        network = _of_checkpoint(weights) if _is_ours(weights) else load_dac(weights)
        kept = kept_codebooks(num_codebooks, int(network.config.n_codebooks), weights=weights)
        return cls(network, num_codebooks=kept)

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Codes, latents and audio of a bundle made with the original package."""
        return reference_checks(cls.open(folder / "weights.pth"), folder)

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform; the last one may be partly padding."""
        return -(-num_samples // self.hop)

    def to(self, device: torch.device | str) -> DacCodec:
        """Moves the network."""
        self.network.to(device)  # type: ignore[arg-type]
        self._fast = None
        return self

    def set_precision(self, precision: str) -> None:
        """The encoder's convolutions run in `precision`.

        Raises:
            AmttsError: this processor gets one of them wrong.
        """
        dtype = DTYPES[precision]
        encoder = {"encoder": self.network.encoder}
        require_sound(encoder, dtype, asked=f"encoding in {precision}", remedy="Leave out --precision")
        self._dtype, self._fast = dtype, None

    @torch.inference_mode()
    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, K, L) int64; see `SpeechCodec.encode`."""
        return self.encode_latents(waveform, lengths)[0]

    @torch.inference_mode()
    def encode_latents(self, waveform: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Codes (B, K, L) and the quantised latents (B, C, L) that they stand for."""
        samples = sample_counts(waveform, lengths)
        padded = functional.pad(waveform, (0, -waveform.shape[1] % self.hop))
        whole = [self.num_frames(n) * self.hop for n in samples]
        hidden = self._quick().encode(_without_tail(padded, samples), whole)
        latents, codes, *_ = self.network.quantizer(hidden, self.num_codebooks)
        return codes, latents

    @property
    def decoder_context(self) -> int:  # type: ignore[override]
        """Frames on either side that a frame's samples depend on."""
        rate, reach = 1.0, 3.0  # samples a frame, frames; the first convolution has 7 taps
        for stride in self.network.config.upsampling_ratios:
            reach += 1 / rate  # two neighbours of a transposed convolution
            rate *= stride
            reach += (3 + 9 + 27) / rate  # three residual units, 7 taps each, dilated by 1, 3 and 9
        return math.ceil(reach + 3 / rate)

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """(B, K', L) int64 -> (B, T'), T' up to 8 samples shorter than L * hop at odd rates, as published."""
        num_codebooks = int(self.network.config.n_codebooks)
        require_codes(codes, num_codebooks=num_codebooks, cardinality=self.cardinality)
        values = self.network.quantizer.from_codes(codes)[0]
        return self._quick().decode(values)

    @torch.inference_mode()
    def code_vectors(self) -> Tensor:
        """(K, V, C): what each code adds to the latents, without the bias."""
        quantizers: Any = self.network.quantizer.quantizers
        kept = quantizers[: self.num_codebooks]
        return torch.stack([b.codebook.weight @ b.out_proj.weight[:, :, 0].t() for b in kept]).cpu()

    def _quick(self) -> FastDac:
        if self._fast is None:
            self._fast = FastDac(self.network, encoder_dtype=self._dtype)
        return self._fast


def _is_ours(weights: Path) -> bool:
    """True for a folder that is not one of `transformers`."""
    return weights.is_dir() and not (weights / "config.json").is_file()


def _of_checkpoint(weights: Path) -> DacModel:
    from amtts_codecs.dac.network import DacNetwork, plain_codec

    checkpoint = read_checkpoint(weights)
    if checkpoint.info.backend != DacCodec.name:
        raise CheckpointError(
            f"checkpoint {checkpoint.folder} is of backend '{checkpoint.info.backend}', expected 'dac'"
        )
    network = checkpoint.load_backend().network
    assert isinstance(network, DacNetwork)
    return plain_codec(network)


def _without_tail(waveform: Tensor, lengths: list[int]) -> Tensor:
    """A copy with zeros beyond each item's length."""
    out = waveform.clone()
    for row, length in enumerate(lengths):
        out[row, length:] = 0
    return out
