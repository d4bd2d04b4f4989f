"""What a vocoder offers. Implementations live in their own packages and are found by entry point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from amtts_core.contract.mel_format import MelFormat as MelFormat
from amtts_core.errors import AmttsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from amtts_core.contract.backend import Backend


@runtime_checkable
class Vocoder(Protocol):
    """Log-mel spectrogram to waveform. M mel channels, L frames, T = L * hop samples."""

    name: str
    """The entry point it is found by."""
    mel: MelFormat
    license: str
    """License of the weights as far as it is known."""

    def vocode(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """(M, L) -> (T,) float32 in [-1, 1], both on the CPU. `seed` matters where the vocoder draws random numbers."""
        ...

    def stream(self, pieces: Iterable[Tensor], *, seed: int = 0) -> Iterator[Tensor]:
        """Mel pieces (M, l) as they come -> waveforms (t,), whose join is `vocode` of the joined mel within 1e-5."""
        ...

    def to(self, device: torch.device | str) -> Vocoder:
        """Moves the network; returns itself."""
        ...

    def save(self, folder: Path) -> None:
        """Writes into a new folder all that `open` needs; nothing where there are no weights."""
        ...


@runtime_checkable
class Iterates(Protocol):
    """A vocoder whose quality grows with its iterations."""

    iterations: int


@runtime_checkable
class HasModule(Protocol):
    """A vocoder that can be written into an ONNX file."""

    def module(self) -> nn.Module:
        """Mel (1, M, L) -> waveform (1, T), of operations that ONNX has; lengths are no constants in it."""
        ...


@runtime_checkable
class VocoderClass(Protocol):
    """What an entry point of the group `amtts.vocoders` leads to."""

    needs_weights: bool
    """False: it is chosen by its name alone and serves every mel."""

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Whether a file or folder looks like this kind's; cheap, raises nothing."""
        ...

    @classmethod
    def open(cls, path: Path | None, *, mel: MelFormat) -> Vocoder:
        """The vocoder in evaluation mode on the CPU.

        Args:
            path: weights; None where it needs none.
            mel: of the mels it will be given; `require_mel` compares it afterwards.

        Raises:
            AmttsError: missing or damaged weights.
        """
        ...


def choose_vocoder(backend: Backend[Any], choice: str) -> None:
    """Has a backend speak its mels through another vocoder.

    Raises:
        AmttsError: as `open_vocoder`, or the backend makes waveforms without mels.
    """
    declared = backend.spec.vocoder
    if declared is None:
        raise AmttsError(
            f"backend '{backend.spec.name}' makes waveforms without mels, so no vocoder fits it",
            remedy="Leave --vocoder out",
        )
    declared.of(backend).choose_vocoder(choice)


def require_mel(vocoder: Vocoder, mel: MelFormat, *, path: Path | str, maker: str) -> None:
    """Refuses a vocoder for other mels than those it will be given.

    Args:
        vocoder: opened.
        mel: of the mels it would be given.
        path: of its weights, for the message.
        maker: who makes the mels, for the message.

    Raises:
        AmttsError: names every setting that differs, with both values.
    """
    wrong = vocoder.mel.differences(mel)
    if wrong:
        differences = "; ".join(
            f"{what} {_shown(theirs)}, {maker} makes {_shown(ours)}" for what, theirs, ours in wrong
        )
        raise AmttsError(
            f"vocoder {path} has {differences}",
            remedy="Use a vocoder for these mels (amtts train --backend vocoder makes one), or --vocoder griffin-lim",
        )


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
