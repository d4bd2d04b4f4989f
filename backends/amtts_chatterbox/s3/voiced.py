"""The codec `s3` with a voice: codes to 24 kHz speech of one speaker, as a network over codes needs it to speak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from amtts_chatterbox.s3.codec import S3Codec
from amtts_chatterbox.s3.voices import SpeakerVoice
from amtts_chatterbox.s3.watermark import marked
from amtts_core.contract.codec import SpeechCodec, require_codes


class VoicedS3(SpeechCodec):
    """A codec at 24 kHz whose speech is that of one voice.

    Args:
        codec: opened, on its device.
        voice: who speaks.
        seed: of the noise that speech is made from; the same for all sentences, so that they sound alike.
        tail: codes that are spoken behind all others, such as silence.
    """

    name = S3Codec.name
    sample_rate = S3Codec.speech_rate
    frame_rate = S3Codec.frame_rate
    num_codebooks = 1
    cardinality = S3Codec.cardinality
    license = S3Codec.license
    decodes_streams = True

    def __init__(
        self, codec: S3Codec, voice: SpeakerVoice, *, seed: int = 0, tail: Sequence[int] = ()
    ) -> None:
        self._codec, self.voice, self._seed, self._tail = codec, voice, seed, list(tail)
        self.weights_hash = codec.weights_hash

    def ending_with(self, tail: Sequence[int]) -> VoicedS3:
        """The same with codes that are spoken behind all others."""
        return VoicedS3(self._codec, self.voice, seed=self._seed, tail=tail)

    @classmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> SpeechCodec:
        """The codec without a voice: `S3Codec.open`."""
        return S3Codec.open(weights, num_codebooks=num_codebooks)

    def num_frames(self, num_samples: int) -> int:
        """Codes of a waveform of `num_samples` samples at 24 kHz."""
        return self._codec.num_frames(num_samples * 2 // 3)

    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Not what it is for: the codec itself encodes, at 16 kHz."""
        raise NotImplementedError("S3Codec.encode makes codes, of waveforms at 16 kHz")

    def decode(self, codes: Tensor) -> Tensor:
        """(B, 1, L) int64 -> (B, 960 (L + tail)) at 24 kHz."""
        require_codes(codes, num_codebooks=1, cardinality=self.cardinality)
        if self._tail:
            codes = torch.cat([codes, codes.new_tensor(self._tail).expand(len(codes), 1, -1)], dim=2)
        waves = torch.stack(self._codec.speak(list(codes[:, 0]), self.voice, seed=self._seed))
        return torch.stack([self._marked(wave) for wave in waves])

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Codes (1, L) as they come -> waveforms (samples,)."""

        def codes() -> Iterator[list[int]]:
            for piece in pieces:
                yield piece[0].tolist()
            yield self._tail

        for wave in self._codec.stream(codes(), self.voice, seed=self._seed):
            yield self._marked(torch.from_numpy(wave))

    def to(self, device: torch.device | str) -> VoicedS3:
        """Moves the codec; returns itself."""
        self._codec.to(device)
        return self

    def _marked(self, wave: Tensor) -> Tensor:
        return marked(wave, self.sample_rate) if self._codec.speech.config.watermark else wave
