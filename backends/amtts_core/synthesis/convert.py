"""Voice conversion: what a recording says, in the voice of another one. A codec's codes hold the words, not the
speaker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amtts_core.audio.io import read_audio
from amtts_core.contract.codec import SpeechCodec
from amtts_core.errors import AmttsError

PIECE = 25
"""Codes that are handed on at a time; the codec chooses the chunks it computes."""


@dataclass(frozen=True)
class Converted:
    """A recording in another voice.

    Attributes:
        waveform: (T,) float32 in [-1, 1].
        sample_rate: Hz.
        codes: that it was made from.
    """

    waveform: np.ndarray
    sample_rate: int
    codes: int


class Converter:
    """Converts recordings of any length to one voice.

    Args:
        codec: makes codes and speaks them; on its device.
        voice: a recording of the speaker, or a file that the codec's family saves voices in.
        seed: of the noise that speech is made from.

    Raises:
        AmttsError: the codec has no voices, or the voice cannot be read.
    """

    def __init__(self, codec: SpeechCodec, voice: Path, *, seed: int = 0) -> None:
        decoder = codec.voice_decoder
        if decoder is None:
            raise AmttsError(
                f"codec '{codec.name}' decodes in the voice that its codes were made from",
                remedy="Take a codec that speaks with a voice of its own: --codec s3",
            )
        self._codec, self._seed = codec, seed
        self._speaker: Any = decoder.voice(voice)
        self._decoder = decoder

    def convert(self, recording: Path) -> Converted:
        """What the recording says, in the voice.

        Raises:
            AmttsError: it cannot be read, or is too short to hold a code.
        """
        codec, device = self._codec, self._decoder.device
        wave = torch.from_numpy(read_audio(recording, sample_rate=codec.sample_rate))
        if not codec.num_frames(len(wave)):
            raise AmttsError(f"recording {recording} has {len(wave)} samples, too few to hold a code")
        codes = codec.encode(wave[None].to(device))[0, 0].tolist()

        def pieces() -> Iterator[list[int]]:
            for start in range(0, len(codes), PIECE):
                yield codes[start : start + PIECE]

        spoken = list(self._decoder.stream(pieces(), self._speaker, seed=self._seed))
        return Converted(np.clip(np.concatenate(spoken), -1, 1), self._decoder.speech_rate, len(codes))
