"""What a speech codec offers. Implementations live in their own packages and are found by entry point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from amtts_core.errors import AmttsError
from amtts_core.units import Hertz

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from amtts_core.contract.reference_check import ReferenceCheck


class CodeCache(Protocol):
    """Codes that other programs wrote into files."""

    @property
    def extras(self) -> Mapping[str, int]:
        """Further arrays of an utterance: name -> channels of a float32 row."""
        ...

    def read(self, key: str, audio: Path) -> dict[str, np.ndarray]:
        """`codes` (L, K) uint16 of an utterance and, where the files have them, the `extras` (rows, C) float32.

        Args:
            key: the utterance's id.
            audio: its audio file; the cache may be named after it.

        Raises:
            AmttsError: no file of it, or one that cannot be read or holds other codes.
        """
        ...


class VoiceDecoder(Protocol):
    """The decoder of a codec that speaks codes with the voice of a recording."""

    @property
    def speech_rate(self) -> Hertz:
        """Rate of the waveforms of `speak`, Hz."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def voice(self, path: Path) -> Any:
        """The voice of a recording or of a file in which the codec's family stores voices; computed once a content.

        Raises:
            AmttsError: it cannot be read, or holds no voice.
        """
        ...

    def speak(self, codes: Sequence[Tensor], voice: Any, *, seed: int = 0) -> list[Tensor]:
        """Codes (L,) each -> waveforms (T,) in [-1, 1] at `speech_rate`, on the CPU."""
        ...

    def stream(self, pieces: Iterable[list[int]], voice: Any, *, seed: int = 0) -> Iterator[np.ndarray]:
        """Waveforms (T,) of codes as they come; concatenated they are the speech, of any length."""
        ...


class SpeechCodec(ABC):
    """Waveform to discrete codes and back. B items, T samples, K codebooks, L frames.

    A subclass is what an entry point of the group `amtts.codecs` leads to. Required: the attributes, `open`,
    `num_frames`, `encode`, `decode`, `to`.
    """

    name: str
    """The entry point it is found by."""
    sample_rate: Hertz
    frame_rate: float
    """Frames per second."""
    num_codebooks: int
    """Codebooks that `encode` returns."""
    cardinality: int
    """Entries of one codebook."""
    weights_hash: str
    """sha256 in hex of the weights that make the codes; the same numbers have the same one, whatever their file."""
    license: str
    """License of the weights as far as it is known."""
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    """What `set_precision` accepts; with fewer bits the encoder is faster, and a few codes become their neighbors."""
    decoder_context: int | None = None
    """Frames on either side that a frame's samples depend on; None where decoding needs all frames."""
    decodes_streams: ClassVar[bool] = False
    """It decodes codes as they come by itself, with `decode_stream`."""
    cache: CodeCache | None = None
    """Where its codes come from files and its own network is not here."""
    voice_decoder: VoiceDecoder | None = None
    """Where its decoder needs a voice."""
    extras: Mapping[str, int] = {}
    """Further arrays of a waveform, stored beside the codes, see `describe`: name -> channels of a float32 row."""
    has_reference_checks: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> SpeechCodec:
        """The codec of a weights file or folder, in evaluation mode on the CPU.

        Args:
            weights: a file or a folder of a format the codec knows.
            num_codebooks: keep the first ones only; 0 keeps all.

        Raises:
            AmttsError: missing or damaged weights, or fewer codebooks than asked for.
        """

    @abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """Frames L of a waveform of `num_samples` samples."""

    @abstractmethod
    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) float in [-1, 1] -> (B, K, L) int64.

        Args:
            waveform: padded at the end where the items differ in length.
            lengths: (B,) samples of each item; None means T for all. An item's first `num_frames(lengths[b])`
                frames are those it has when encoded alone; what follows them is arbitrary but valid.
        """

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """(B, K', L) int64 -> (B, T) float, K' at most the codebooks of the weights."""

    @abstractmethod
    def to(self, device: torch.device | str) -> SpeechCodec:
        """Moves the network; returns itself."""

    @classmethod
    def without_weights(cls) -> SpeechCodec | None:
        """The codec as known without files, for codes that are stored already; None where it needs them."""
        return None

    def describe(self, waveform: Tensor, codes: Tensor) -> dict[str, np.ndarray]:
        """The `extras` (rows, C) float32 of a waveform (T,) whose codes are (K, L).

        Raises:
            AmttsError: the waveform has none, such as a silent one.
        """
        return {}

    def can_decode(self, identity: str) -> bool:
        """Whether it can speak codes of another identity (`str` of a `CodecIdentity`)."""
        return False

    @property
    def samples_per_frame(self) -> int:
        """Samples of a frame."""
        return round(self.sample_rate / self.frame_rate)

    def code_vectors(self) -> Tensor | None:
        """(K, V, D) float32 on the CPU: the codebook entries, neighbors sound alike; None where there are none."""
        return None

    def choose_vocoder(self, choice: str) -> None:
        """Speaks its mels through another vocoder from now on.

        Raises:
            AmttsError: as `open_vocoder`, or it makes waveforms without mels.
        """
        raise AmttsError(
            f"codec '{self.name}' makes waveforms without mels, so no vocoder fits it",
            remedy="Leave --vocoder out",
        )

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Codes (K', l) each -> waveforms (t,) on the CPU whose join is `decode` of all, where `decodes_streams`."""
        raise NotImplementedError

    def set_precision(self, precision: str) -> None:
        """From now on `encode` runs its layers in `precision`; distances to codebook entries stay in float32."""
        assert precision in self.precisions

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Compares the codec with a bundle of stored numbers, where `has_reference_checks`.

        Raises:
            AmttsError: the bundle cannot be read.
        """
        return []


@dataclass(frozen=True)
class CodecIdentity:
    """What decides whether two sets of codes mean the same. Written beside codes and into checkpoints."""

    codec: str
    weights_hash: str
    sample_rate: Hertz
    frame_rate: float
    num_codebooks: int
    cardinality: int

    @classmethod
    def of(cls, codec: SpeechCodec) -> CodecIdentity:
        """The identity of an opened codec."""
        return cls(
            codec.name,
            codec.weights_hash,
            codec.sample_rate,
            codec.frame_rate,
            codec.num_codebooks,
            codec.cardinality,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CodecIdentity:
        """Inverse of `as_dict`; an unknown or missing key is a TypeError."""
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.codec}:{self.weights_hash[:12]} ({self.num_codebooks} x {self.cardinality})"

    def require(self, other: CodecIdentity, *, what: str) -> None:
        """Raises where `other` is not the same codec, naming both."""
        if self == other:
            return
        again = "with the codec you use"
        if replace(self, num_codebooks=other.num_codebooks) == other:
            again = f"with --num-codebooks {other.num_codebooks}"
        raise AmttsError(
            f"{what} holds codes of {self}, expected {other}",
            remedy=f"Encode again {again}: amtts encode-codes --force, or into another --out",
        )


def code_vectors_of(codec: SpeechCodec) -> Tensor:
    """(K, V, D) entries of every codebook, see `SpeechCodec.code_vectors`.

    Raises:
        AmttsError: the codec has no codebook entries.
    """
    vectors = codec.code_vectors()
    if vectors is None:
        raise AmttsError(
            f"codec '{codec.name}' does not show the entries of its codebooks, which model.codec_start and "
            "model.code_smoothing need",
            remedy="Give --set model.codec_start=false --set model.code_smoothing=0",
        )
    return vectors


def sample_counts(waveform: Tensor, lengths: Tensor | None) -> list[int]:
    """Samples of each item of `SpeechCodec.encode`'s arguments.

    Raises:
        ValueError: not a waveform (B, T) with samples.
    """
    if waveform.ndim != 2 or not waveform.shape[1]:
        raise ValueError(f"expected a waveform (B, T) with samples, got {list(waveform.shape)}")
    return [waveform.shape[1]] * len(waveform) if lengths is None else lengths.tolist()


def kept_codebooks(asked: int, available: int, *, weights: Path) -> int:
    """How many codebooks to use: `asked`, or all for 0.

    Raises:
        AmttsError: the weights have fewer.
    """
    if asked > available or asked < 0:
        raise AmttsError(
            f"{asked} codebooks were asked for, the codec {weights} has {available}",
            remedy=f"Ask for 1 to {available}: --num-codebooks of amtts encode-codes, --set model.head.num_codebooks "
            "of a network that learns them",
        )
    return asked or available


def require_codes(codes: Tensor, *, num_codebooks: int, cardinality: int) -> None:
    """Refuses codes that a codec cannot decode.

    Args:
        codes: (B, K', L) int64.
        num_codebooks: K' at most.
        cardinality: entries of a codebook.

    Raises:
        AmttsError: another shape, or a code out of range; names both.
    """
    if codes.ndim != 3 or not 1 <= codes.shape[1] <= num_codebooks:
        raise AmttsError(f"codes have shape {list(codes.shape)}, expected (B, 1 to {num_codebooks}, L)")
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < cardinality:
        raise AmttsError(
            f"codes range from {int(codes.min())} to {int(codes.max())}, expected 0 to {cardinality - 1}"
        )
