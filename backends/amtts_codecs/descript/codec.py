"""DAC through the original package, for those who want its own code to make the codes.

The weights are those of `dac`, the codes are equal, and so is the identity that is written beside them: what one of
the two has encoded the other continues and decodes. The package needs torchaudio and an old protobuf, so it lives in
an environment of its own (`scripts/test_descript.sh`); here it only runs what `dac.DAC` is asked for. Its own loader
would execute code from the file, so the file is read by ours.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amtts_codecs.dac.codec import DacCodec
from amtts_codecs.dac.reference import compare
from amtts_codecs.dac.weights import load_dac, read_published
from amtts_core.checkpoints.checkpoint import load_strict
from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.contract.codec import SpeechCodec, kept_codebooks, require_codes, sample_counts
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.errors import AmttsError


class DescriptCodec(SpeechCodec):
    """`dac.DAC` as a `SpeechCodec`. B items, T samples, K codebooks, L = ceil(T / hop) frames.

    Args:
        network: a `dac.DAC` in evaluation mode.
        weights_hash: that `DacCodec` gives the same file.
        num_codebooks: codebooks that `encode` returns.
    """

    name = DacCodec.name
    has_reference_checks = True
    license = DacCodec.license

    def __init__(self, network: Any, *, weights_hash: str, num_codebooks: int) -> None:
        self.network = network
        self.weights_hash = weights_hash
        self.num_codebooks = num_codebooks
        self.sample_rate = int(network.sample_rate)
        self.hop = int(network.hop_length)
        self.frame_rate = self.sample_rate / self.hop
        self.cardinality = int(network.codebook_size)

    @classmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> DescriptCodec:
        """The codec of a published `.pth` file."""
        try:
            dac: Any = importlib.import_module("dac")
        except ImportError as error:
            raise AmttsError(
                f"codec 'descript' needs the package descript-audio-codec: {error}",
                remedy="Install it in an environment of its own: pip install 'amtts[descript]'; "
                "or use --codec dac, whose codes are the same",
            ) from None
        if weights.is_dir():
            raise AmttsError(
                f"codec 'descript' reads a published .pth file, {weights} is a folder",
                remedy="Use --codec dac for a Hugging Face folder or a run",
            )
        arguments, state = read_published(weights)
        same = load_dac(weights)  # checks every tensor, and gives their identity
        network = dac.DAC(**arguments)
        load_strict(network, state, backend="descript")
        available = int(network.n_codebooks)
        kept = kept_codebooks(num_codebooks, available, weights=weights)
        fingerprint = weights_fingerprint(same.state_dict())
        return cls(network.eval(), weights_hash=fingerprint, num_codebooks=kept)

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Codes and audio of a bundle made with the original package."""
        return compare(cls.open(folder / "weights.pth"), folder)

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform; the last one may be partly padding."""
        return -(-num_samples // self.hop)

    def to(self, device: torch.device | str) -> DescriptCodec:
        """Moves the network."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, K, L) int64, one item after the other; see `SpeechCodec.encode`."""
        samples = sample_counts(waveform, lengths)
        shape = (len(waveform), self.num_codebooks, self.num_frames(waveform.shape[1]))
        codes = torch.zeros(shape, dtype=torch.int64, device=waveform.device)
        for row, length in enumerate(samples):
            whole = self.network.preprocess(waveform[row, :length][None, None], self.sample_rate)
            found = self.network.encode(whole, self.num_codebooks)[1]
            codes[row, :, : found.shape[-1]] = found[0]
        return codes

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """(B, K', L) int64 -> (B, T'), T' up to 8 samples shorter than L * hop at odd rates, as published."""
        require_codes(codes, num_codebooks=int(self.network.n_codebooks), cardinality=self.cardinality)
        audio: Tensor = self.network.decode(self.network.quantizer.from_codes(codes)[0])
        return audio[:, 0]
