"""The codec `s3`: S3 tokens of waveforms, and speech of tokens with the voice of a recording.

Its weights are a published S3Gen file, or the folder that holds one (with `ve.safetensors` and `conds.pt` beside it
where they are there). A folder of caches that other programs made is the other kind, see `caches`. B items, T
samples, L codes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.front_ends import VOICE_RATE
from amtts_chatterbox.s3.caches import CACHED_HASH, S3Tokens
from amtts_chatterbox.s3.config import S3SpeakingConfig
from amtts_chatterbox.s3.front_ends import long_log_mel
from amtts_chatterbox.s3.speaking import S3Speech, Spoken
from amtts_chatterbox.s3.streaming import stream_speech
from amtts_chatterbox.s3.tokenizer import CODES, FRAMES_PER_CODE, tokenize
from amtts_chatterbox.s3.vocoder import RATE
from amtts_chatterbox.s3.voices import LONGEST, PROMPT, SpeakerVoice, content_key, read_voice
from amtts_chatterbox.s3.weights import LICENSE, S3Network, find_s3gen, load_s3gen
from amtts_chatterbox.voice_encoder import VoiceEncoder, load_voice_encoder
from amtts_core.audio.io import resample
from amtts_core.checkpoints.checkpoint import read_checkpoint
from amtts_core.codec.fingerprint import weights_fingerprint
from amtts_core.contract.codec import SpeechCodec, require_codes, sample_counts
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.nn.bf16_check import require_sound
from amtts_core.units import Seconds

logger = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
HOP = VOICE_RATE // 100
"""Samples of a frame of the log-mel."""
ENCODERS = ("ve.safetensors", "ve.pt")
BUILT_IN = "conds.pt"
"""Published files that are looked for beside the weights: the voice encoder, and a voice."""
KEPT_VOICES = 16


class S3Codec(SpeechCodec):
    """S3 tokens of 16 kHz waveforms, 25 a second, and S3Gen behind them at 24 kHz.

    Args:
        network: in evaluation mode.
        folder: of the weights, for what lies beside them.
        config: how it speaks.
    """

    name = "s3"
    sample_rate = VOICE_RATE
    speech_rate = RATE
    frame_rate = 25.0
    num_codebooks = 1
    cardinality = CODES
    license = LICENSE
    precisions = tuple(DTYPES)
    has_reference_checks = True

    def __init__(self, network: S3Network, folder: Path, *, config: S3SpeakingConfig | None = None) -> None:
        self.network, self.folder = network, folder
        self.weights_hash = weights_fingerprint(
            {name: t for name, t in network.tokenizer.state_dict().items() if not name.endswith("_tracked")}
        )
        self.speech = S3Speech(network, config)
        self._dtype = torch.float32
        self._encoder_file = next((folder / name for name in ENCODERS if (folder / name).is_file()), None)
        self.extras: Mapping[str, int] = {"prompt": 1}
        if self._encoder_file is not None:
            self.extras = {**self.extras, "speaker": len(self.voice_encoder(None).proj.weight)}
        self.voice_decoder = self
        self._voices: dict[tuple[str, float, float], SpeakerVoice] = {}

    @classmethod
    def open(cls, weights: Path, *, num_codebooks: int = 0) -> SpeechCodec:
        """The codec of a published S3Gen file or its folder, or the caches in any other folder.

        Raises:
            AmttsError: unreadable weights, or more codebooks than one.
        """
        if _is_run(weights):
            return _of_run(weights)
        file = find_s3gen(weights)
        if file is None:
            return S3Tokens.open(weights, num_codebooks=num_codebooks)
        if num_codebooks > 1:
            raise AmttsError(f"codec 's3' has 1 codebook, {num_codebooks} were asked for")
        return cls(load_s3gen(file), file.parent)

    @classmethod
    def without_weights(cls) -> SpeechCodec:
        """Of tokens that were read from caches, see `SpeechCodec.without_weights`."""
        return S3Tokens(Path())

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Every stage of the audio path against stored numbers, see `reference`."""
        from amtts_chatterbox.s3.reference import reference_checks

        return reference_checks(folder)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.speech.device

    def can_decode(self, identity: str) -> bool:
        """Caches do not say which file made their tokens; all published files share the tokenizer."""
        return identity.startswith(f"{self.name}:{CACHED_HASH[:12]} ")

    def num_frames(self, num_samples: int) -> int:
        """Codes of a waveform of `num_samples` samples at 16 kHz."""
        return -(-(num_samples // HOP) // FRAMES_PER_CODE)

    def to(self, device: torch.device | str) -> S3Codec:
        """Moves the network; voices are made again there."""
        self.network.to(device)
        self.speech = S3Speech(self.network, self.speech.config)
        self._voices.clear()
        return self

    def speaking(self, config: S3SpeakingConfig) -> S3Codec:
        """From now on it speaks with these settings; returns itself."""
        if config != self.speech.config:
            self.speech = S3Speech(self.network, config)
        return self

    def set_precision(self, precision: str) -> None:
        """The tokenizer's layers run in `precision`; the digits are computed in float32.

        Raises:
            AmttsError: this processor gets one of its convolutions wrong.
        """
        tokenizer, dtype = self.network.tokenizer, DTYPES[precision]
        require_sound(
            {"conv1": tokenizer.conv1, "conv2": tokenizer.conv2},
            dtype,
            asked=f"encoding in {precision}",
            remedy="Leave out --precision",
        )
        tokenizer.to(dtype)

    @torch.inference_mode()
    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) at 16 kHz -> (B, 1, L) int64; see `SpeechCodec.encode`. Any length, in bounded memory."""
        counts = sample_counts(waveform, lengths)
        filled = [row for row, count in enumerate(counts) if self.num_frames(count)]
        mels = [long_log_mel(waveform[row, : counts[row]].float()) for row in filled]
        codes = tokenize(self.network.tokenizer, mels)
        longest = max((len(row) for row in codes), default=0)
        out = waveform.new_zeros(len(counts), 1, longest, dtype=torch.int64)
        for row, found in zip(filled, codes, strict=True):
            out[row, 0, : len(found)] = found
        return out

    def decode(self, codes: Tensor) -> Tensor:
        """(B, 1, L) int64 -> (B, T) at 16 kHz, with the voice that lies beside the weights.

        Raises:
            AmttsError: no code, or no voice lies there.
        """
        require_codes(codes, num_codebooks=1, cardinality=CODES)
        waves = self.speak(list(codes[:, 0]), self.built_in_voice())
        low = [resample(wave.numpy(), RATE, VOICE_RATE) for wave in waves]
        return torch.from_numpy(np.stack(low)).to(codes.device)

    def describe(self, waveform: Tensor, codes: Tensor) -> dict[str, np.ndarray]:
        """T3's `prompt` (P, 1), the codes of the first 6 s alone, and its `speaker` vector (1, E).

        Raises:
            AmttsError: there is no sound in it.
        """
        found = {"prompt": self._prompt(waveform, codes).to(torch.float32).cpu().numpy()[:, None]}
        if self._encoder_file is not None:
            start = waveform[: round(LONGEST * VOICE_RATE)]
            vector = self.voice_encoder(None).embed(start.cpu().float())
            found["speaker"] = vector.cpu().numpy()[None]
        return found

    def _prompt(self, waveform: Tensor, codes: Tensor) -> Tensor:
        """Whoever is no longer than the prompt has the same codes in it."""
        longest = round(PROMPT * VOICE_RATE)
        if len(waveform) <= longest:
            return codes[0]
        mel = long_log_mel(waveform.float())[:, : longest // HOP]  # the floor is the whole's, as published
        return tokenize(self.network.tokenizer, [mel])[0]

    def voice_encoder(self, path: Path | None) -> VoiceEncoder:
        """The encoder of a file, or the one beside the weights; loaded once."""
        file = path or self._encoder_file
        assert file is not None, "no voice encoder lies beside the weights"
        return _encoder(file)

    def voice(self, path: Path, *, encoder: Path | None = None, prompt: Seconds = PROMPT) -> SpeakerVoice:
        """The voice of a recording or conds.pt, computed once for its content.

        Args:
            path: of it.
            encoder: of T3's speaker vector; None takes the one beside the weights, where one is.
            prompt: seconds that T3 is prompted with at most.
        """
        seconds = self.speech.config.reference_seconds
        key = (content_key(path), seconds, prompt)
        if key not in self._voices:
            own = _encoder(encoder or self._encoder_file) if encoder or self._encoder_file else None
            while len(self._voices) >= KEPT_VOICES:
                self._voices.pop(next(iter(self._voices)))
            made = read_voice(path, self.network, own, seconds=seconds, prompt=prompt)
            reference = made.reference.to(self.speech.device)
            self._voices[key] = SpeakerVoice(reference, made.speaker, made.prompt)
        return self._voices[key]

    def built_in_voice(self) -> SpeakerVoice:
        """The voice that lies beside the weights.

        Raises:
            AmttsError: none does.
        """
        if not (self.folder / BUILT_IN).is_file():
            raise AmttsError(
                f"S3Gen speaks with the voice of a recording; none was given, and {self.folder} has no {BUILT_IN}",
                remedy="Give a recording of the speaker: --voice speaker.wav",
            )
        return self.voice(self.folder / BUILT_IN)

    def speak(self, codes: Sequence[Tensor], voice: SpeakerVoice, *, seed: int = 0) -> list[Tensor]:
        """Codes (L,) each -> waveforms (960 L,) at 24 kHz; see `VoiceDecoder`."""
        return self.speech.speak([Spoken(row, voice.reference, seed) for row in codes])

    def stream(
        self, pieces: Iterable[list[int]], voice: SpeakerVoice, *, seed: int = 0
    ) -> Iterator[np.ndarray]:
        """Waveforms (T,) at 24 kHz of codes as they come; see `VoiceDecoder`."""
        return stream_speech(self.speech, pieces, voice.reference, seed=seed)


def _is_run(path: Path) -> bool:
    """True for a run or checkpoint folder of amtts."""
    return path.is_dir() and ((path / "checkpoint.json").is_file() or (path / "checkpoints").is_dir())


def _of_run(path: Path) -> S3Codec:
    """The codec of a run in which the flow was trained."""
    checkpoint = read_checkpoint(path)
    if checkpoint.info.backend != "s3gen":
        raise CheckpointError(
            f"checkpoint {checkpoint.folder} is of backend '{checkpoint.info.backend}', expected 's3gen'",
            remedy="Give s3gen.safetensors as published, or a run of amtts train --backend s3gen",
        )
    backend: Any = checkpoint.load_backend()  # an `S3GenBackend`
    codec: S3Codec = backend.as_codec()
    return codec


@lru_cache(maxsize=2)
def _encoder(path: Path) -> VoiceEncoder:
    return load_voice_encoder(path)
