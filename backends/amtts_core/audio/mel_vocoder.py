"""What turns a backend's mels into waveforms: the vocoder that a setting names, opened when it is first needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator
from torch import Tensor

from amtts_core.audio.mel import MelConfig
from amtts_core.contract.vocoder import Iterates, Vocoder
from amtts_core.contract.vocoder_registry import open_vocoder, vocoder_names

VOCODER_HELP = "vocoder: its weights' file or folder; empty or griffin-lim goes without"
Choice = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""Type of such a setting; `--set model.vocoder=` without a value goes without."""
FOLDER = "vocoder"
"""Folder of a checkpoint that holds a copy of the weights."""


class MelVocoder:
    """The vocoder of one backend or codec.

    Args:
        choice: as of `open_vocoder`.
        mel: of the mels.
        iterations: of a vocoder that iterates, such as Griffin-Lim.
        maker: who makes the mels, for messages.
    """

    def __init__(self, choice: str, mel: MelConfig, *, iterations: int, maker: str) -> None:
        self._choice, self._mel, self._iterations, self._maker = choice, mel, iterations, maker
        self._opened: Vocoder | None = None

    def choose(self, choice: str) -> None:
        """Another vocoder from now on, opened at once.

        Raises:
            AmttsError: as `open_vocoder`.
        """
        self._choice, self._opened = choice, None
        self.opened()

    def opened(self) -> Vocoder:
        """The vocoder itself.

        Raises:
            AmttsError: as `open_vocoder`.
        """
        if self._opened is None:
            self._opened = open_vocoder(self._choice, mel=self._mel.format, maker=self._maker)
            if isinstance(self._opened, Iterates):
                self._opened.iterations = self._iterations
        return self._opened

    def vocode(self, mel: Tensor, *, seed: int = 0) -> Tensor:
        """(M, L) -> (T,) in [-1, 1] on the CPU."""
        return self.opened().vocode(mel, seed=seed)

    def stream(self, pieces: Iterable[Tensor], *, seed: int = 0) -> Iterator[Tensor]:
        """As of `Vocoder`."""
        return self.opened().stream(pieces, seed=seed)

    @property
    def has_weights(self) -> bool:
        """Whether the choice names weights, not a vocoder without such."""
        return bool(self._choice) and (self._choice not in vocoder_names() or Path(self._choice).exists())

    def write_copy(self, checkpoint: Path) -> None:
        """Puts what the vocoder needs into a checkpoint's folder; nothing where it needs no weights."""
        if self.has_weights:
            self.opened().save(checkpoint / FOLDER)

    def use_copy(self, checkpoint: Path) -> None:
        """Takes the copy of a checkpoint's folder in place of where the weights once were, if there is one."""
        if self.has_weights and (checkpoint / FOLDER).is_dir():
            self._choice, self._opened = str(checkpoint / FOLDER), None
        elif (
            self.has_weights and not Path(self._choice).is_absolute() and (checkpoint / self._choice).exists()
        ):
            self._choice, self._opened = str(checkpoint / self._choice), None
