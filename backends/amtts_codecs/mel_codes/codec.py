"""mel-codes as a `SpeechCodec`, from the folder that its training (or its export) left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from amtts_codecs.mel_codes.config import MelCodesConfig
from amtts_codecs.mel_codes.network import MelCodes
from amtts_core.audio.mel import log_mel
from amtts_core.audio.mel_vocoder import MelVocoder
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.contract.codec import SpeechCodec, kept_codebooks, require_codes, sample_counts
from amtts_core.errors import CheckpointError

NAME = "mel-codes"
BLOCK = 16
"""Frames of codes that become a mel together where it is spoken."""
NOT_PART = ("quantizer.uses", "quantizer.totals")
"""Training state that changes no code."""


class MelCodesCodec(SpeechCodec):
    """Codes of log-mels. B items, T samples, K codebooks, L = ceil(T / hop) frames.

    Args:
        config: of the network.
        network: in evaluation mode.
        num_codebooks: codebooks that `encode` returns.
        vocoder: what the mels are spoken through; None opens the settings' own.
    """

    name = NAME
    license = "as its training data; weights trained with amtts from scratch carry no other"

    decodes_streams: ClassVar[bool] = True

    def __init__(
        self,
        config: MelCodesConfig,
        network: MelCodes,
        *,
        num_codebooks: int,
        vocoder: MelVocoder | None = None,
    ) -> None:
        self.config = config
        self.network = network
        self.num_codebooks = num_codebooks
        self.sample_rate = config.mel.sample_rate
        self.frame_rate = config.mel.sample_rate / config.hop
        self.cardinality = config.cardinality
        state = {k: v for k, v in network.state_dict().items() if k not in NOT_PART}
        self.weights_hash = weights_fingerprint(state)
        self.vocoder = vocoder or vocoder_of(config)

    @classmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> MelCodesCodec:
        """The codec of a checkpoint or run folder of the backend `mel-codes`."""
        checkpoint = read_checkpoint(weights)
        if checkpoint.info.backend != NAME:
            raise CheckpointError(
                f"checkpoint {checkpoint.folder} is of backend '{checkpoint.info.backend}', expected '{NAME}'"
            )
        backend = checkpoint.load_backend()
        kept = kept_codebooks(num_codebooks, backend.config.num_codebooks, weights=weights)
        network = backend.network
        assert isinstance(network, MelCodes)
        vocoder: MelVocoder = backend.vocoder  # type: ignore[attr-defined]
        return cls(backend.config, network, num_codebooks=kept, vocoder=vocoder)

    def code_vectors(self) -> Tensor:
        """(K, V, D) entries of the codebooks that `encode` uses."""
        return self.network.quantizer.codebook[: self.num_codebooks].detach().float().cpu()

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform; the last one may be partly padding."""
        return -(-num_samples // self.config.hop)

    def to(self, device: torch.device | str) -> MelCodesCodec:
        """Moves the network."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, K, L) int64; see `SpeechCodec.encode`."""
        samples = sample_counts(waveform, lengths)
        frames = torch.tensor([self.num_frames(n) for n in samples], device=waveform.device)
        longest = self.num_frames(waveform.shape[1])
        mel = torch.zeros(
            len(waveform), longest * self.config.stride, self.config.mel.n_mels, device=waveform.device
        )
        for row, length in enumerate(samples):  # the mel reflects an utterance's own end
            own = functional.pad(waveform[row : row + 1, :length], (0, -length % self.config.hop))
            found = log_mel(own, self.config.mel)[0].T
            mel[row, : len(found)] = found
        hidden = self.network.encode(self.network.normalize(mel), frames)
        codes = self.network.quantizer(hidden.flatten(0, 1)).codes
        return codes.reshape(len(waveform), longest, -1).transpose(1, 2)[:, : self.num_codebooks]

    @torch.inference_mode()
    def decode_mel(self, codes: Tensor) -> Tensor:
        """(B, K', L) int64 -> natural-log mel (B, L * stride, M)."""
        num_codebooks = self.config.num_codebooks
        require_codes(codes, num_codebooks=num_codebooks, cardinality=self.cardinality)
        values = self.network.quantizer.lookup(codes.transpose(1, 2))
        frames = torch.full((len(codes),), codes.shape[2], device=codes.device)
        return self.network.denormalize(self.network.decode(values, frames))

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """(B, K', L) int64 -> (B, L * hop) in [-1, 1]."""
        num_codebooks = self.config.num_codebooks
        require_codes(codes, num_codebooks=num_codebooks, cardinality=self.cardinality)
        waves = [self.speak(torch.cat(list(self._mel_pieces([item])), dim=1).T) for item in codes]
        return torch.stack(waves).to(codes.device)

    def speak(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """Natural-log mel (L, M) -> waveform (T,) in [-1, 1] on the CPU."""
        return self.vocoder.vocode(mel.T.cpu(), seed=seed)

    def choose_vocoder(self, choice: str) -> None:
        """Speaks through another vocoder from now on."""
        self.vocoder.choose(choice)

    @torch.inference_mode()
    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Codes (K', l) as they come -> waveforms (t,) on the CPU, whose join is `decode` of all together."""
        return self.vocoder.stream(self._mel_pieces(pieces))

    def _mel_pieces(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Mels (M, l) of codes (K', l'), block by block, each when the codes around it are there.

        The blocks do not depend on how the codes arrive, so a stream has the bits of the whole: a vocoder may add up
        rounding errors over a whole utterance.
        """
        context, stride = self.network.decoder_context, self.config.stride
        kept, begin = torch.zeros(0, 0, dtype=torch.long), 0

        def mel(end: int) -> Tensor:
            first = max(0, begin - context)
            window = self.decode_mel(kept[None, :, first : end + context])[0].T.cpu()
            return window[:, (begin - first) * stride : (end - first) * stride]

        for piece in pieces:
            kept = torch.cat([kept, piece], dim=1) if kept.numel() else piece
            while begin + BLOCK + context <= kept.shape[1]:
                yield mel(begin + BLOCK)
                begin += BLOCK
        while kept.numel() and begin < kept.shape[1]:
            end = min(begin + BLOCK, kept.shape[1])
            yield mel(end)
            begin = end


def vocoder_of(config: MelCodesConfig) -> MelVocoder:
    """What the mels of a codec with these settings are spoken through."""
    return MelVocoder(
        config.vocoder, config.mel, iterations=config.griffin_lim_iterations, maker="this codec"
    )
