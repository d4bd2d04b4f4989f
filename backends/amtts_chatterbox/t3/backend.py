"""Chatterbox T3 as a backend: batches, prompts, published weights, over the codes of one speech codec.

Any registered codec with one codebook serves; its name and weights are settings. Recordings are prepared at 24 kHz and
resampled where the codec has another rate.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from amtts_chatterbox.front_ends import VOICE_RATE
from amtts_chatterbox.s3.codec import BUILT_IN, S3Codec
from amtts_chatterbox.s3.voiced import VoicedS3
from amtts_chatterbox.s3.voices import SpeakerVoice, read_conditions, write_conditions
from amtts_chatterbox.t3.config import PRESETS, T3Config
from amtts_chatterbox.t3.export import export_chatterbox
from amtts_chatterbox.t3.inference import Utterance, Voice, bounded, prompts_of
from amtts_chatterbox.t3.learner import T3Learner
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.published import LICENSE, PUBLISHED
from amtts_chatterbox.t3.reference import reference_checks
from amtts_chatterbox.voice_encoder import VoiceEncoder, load_voice_encoder
from amtts_core.audio.io import resample
from amtts_core.contract.backend import BackendSpec
from amtts_core.contract.capabilities import (
    BatchStatistics,
    Blocks,
    BlocksReadOutside,
    CodePrediction,
    Export,
    FineTuning,
    ReferenceChecks,
    SavedVoices,
    SpeakerConditioning,
    SpeechCodes,
    SpeechScoring,
    Streaming,
    TextAttention,
    TextScoring,
    VocoderChoice,
)
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TextTensor
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.speech_lm.backend import SpeechLmBackend
from amtts_core.speech_lm.codec_of import codec_of
from amtts_core.speech_lm.generate import Decoding, Prompt
from amtts_core.speech_lm.settings import MUTABLE
from amtts_core.speech_lm.synthesizer import SpeechLmSynthesizer
from amtts_core.units import Seconds

logger = logging.getLogger(__name__)

NAME = "chatterbox"
SAMPLE_RATE = 24000


class ChatterboxT3Backend(SpeechLmBackend[T3Config]):
    """A Llama over speech codes; reads the published T3 weights."""

    spec: ClassVar[BackendSpec[T3Config]] = BackendSpec(
        name=NAME,
        summary="T3: a Llama from text to speech codes; reads and writes the published weights",
        sample_rate=SAMPLE_RATE,
        learns_from="codes",
        config=T3Config,
        mutable_settings=(
            *MUTABLE,
            "voice_dropout",
            "perceiver_dropout",
            "voice_encoder",
            "voice_clip",
            "s3gen",
            "emotion",
        ),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_seconds": 160.0},
            "training": {"optim": {"learning_rate": 3e-4, "betas": (0.9, 0.95), "weight_decay": 0.05}},
        },
        speakers=SpeakerConditioning(tables=("voices.vectors", "voices.prompts", "voices.lengths")),
        speech_codes=SpeechCodes(),
        saved_voices=SavedVoices(),
        streaming=Streaming(),
        vocoder=VocoderChoice(),
        attention=TextAttention(),
        blocks=Blocks(),
        blocks_read_outside=BlocksReadOutside(),
        batch_statistics=BatchStatistics(),
        text_scoring=TextScoring(),
        code_prediction=CodePrediction(),
        speech_scoring=SpeechScoring(term="speech"),
        fine_tuning=FineTuning(lora_targets=("attention.qkv", "attention.out", "feed.gate_up", "feed.down")),
        published=PUBLISHED,
        export=Export(formats=("chatterbox",)),
        reference_checks=ReferenceChecks(),
        weights_license=LICENSE,
    )
    network: Any  # a T3 with a speaker memory
    learner_class = T3Learner

    def build_network(self) -> T3:
        """Text embedding and head have one row per token."""
        voices = max(1, self.speakers.num_embeddings)
        return T3(self.config, num_text_tokens=self.tokenizer.vocab_size, num_voices=voices)

    def open_codec(self, *, device: str = "cpu") -> SpeechCodec:
        """See `SpeechLmBackend`."""
        config = self.config
        return codec_of(
            config.codec,
            config.codec_weights,
            backend=NAME,
            num_codebooks=1,
            num_codes=config.speech_codes,
            remedy="Set model.speech_codes={codes}, model.start_speech={start}, model.stop_speech={stop} and "
            "model.speech_rows={rows}",
            device=device,
        )

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """Embedding and head; neither has a bias."""
        return TextTensor("text.embedding.weight", "embedding"), TextTensor("text.head.weight", "head")

    def features(self, waveform: np.ndarray) -> Features:
        """`codes` (L, 1) int32, and with a voice encoder `speaker` (1, E) float32."""
        config, found = self.config, super().features(waveform)
        if config.voice_encoder:
            samples = np.ascontiguousarray(resample(waveform, SAMPLE_RATE, VOICE_RATE))
            vector = _encoder(config.voice_encoder).embed(torch.from_numpy(samples))
            found.arrays["speaker"] = vector[None].cpu().numpy()
        return found

    def feature_key(self) -> str:
        """Which codec and which voice encoder.

        Raises:
            CheckpointError: the voice encoder cannot be read, or its vectors have another size.
        """
        config, codec = self.config, super().feature_key()
        if not config.voice_encoder:
            return codec
        made = len(_encoder(config.voice_encoder).state_dict()["proj.weight"])
        if made != config.speaker_size:
            raise CheckpointError(
                f"the voice encoder {config.voice_encoder} makes vectors of {made} channels, "
                f"model.speaker_size is {config.speaker_size}",
                remedy=f"Set model.speaker_size={made}, or name another encoder",
            )
        with Path(config.voice_encoder).open("rb") as handle:
            return f"{codec} {hashlib.file_digest(handle, 'sha256').hexdigest()}"

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """Both position tables have an end."""
        text, speech = num_tokens + 2, lengths["codes"] + 2
        if text > self.config.text_positions:
            return f"{text} text tokens with start and stop; the network reads {self.config.text_positions}"
        if speech > self.config.speech_positions:
            return (
                f"{speech} speech tokens with start and end; the network has {self.config.speech_positions}"
            )
        return "" if lengths["codes"] else "no speech code"

    def collate(self, examples: Sequence[Example]) -> Batch:
        """See `SpeechLmBackend`; `speaker_vectors` (B, E) are those of the examples, or the voice table's."""
        batch = super().collate(examples)
        vectors = self.network.voices.vectors.cpu()[batch["speakers"]]
        for item, example in enumerate(examples):
            found = example.features.get("speaker", np.zeros(0)).reshape(-1)
            if len(found):
                vectors[item] = torch.from_numpy(np.array(found, dtype=np.float32))
        return {**batch, "speaker_vectors": vectors}

    def text_logits(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `amtts_core.forgetting.old_text`; with the first speaker's vector, no prompt and no speech behind."""
        ids = self.framed(list(tokens)[: self.config.text_positions - 2])
        logits, _ = self.network.score_text(ids, self.network.voices.vectors[:1])
        return logits, torch.tensor(ids, device=logits.device)

    def decoding(self) -> Decoding:
        """See `SpeechLmBackend`; the bounds of the length are drawn in to what training saw."""
        sampling = bounded(self.config.sampling, self.network.length_model)
        return replace(super().decoding(), sampling=sampling)

    def prompts(self, requests: Sequence[SynthesisRequest], frames: Sequence[int]) -> list[Prompt]:
        """See `SpeechLmBackend`."""
        utterances = [
            Utterance(text=self.framed(r.tokens), voice=self._voice(r.speaker), seed=r.seed) for r in requests
        ]
        return prompts_of(self.network, utterances, bounded(self.config.sampling, self.network.length_model))

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """See `SpeechLmBackend`; with codec s3 the requests of a speaker together, because each has a voice of its
        own."""
        if not isinstance(self.speech_codec(), S3Codec):
            return super().synthesize(requests)
        waves: dict[int, np.ndarray] = {}
        for speaker in dict.fromkeys(request.speaker for request in requests):
            numbers = [n for n, request in enumerate(requests) if request.speaker == speaker]
            waves |= zip(numbers, super().synthesize([requests[n] for n in numbers]), strict=True)
        return [waves[number] for number in range(len(requests))]

    def longest_text(self) -> int:
        """Rows of the text position table without the two marks."""
        return int(self.config.text_positions) - 2

    def _synthesizer(self) -> SpeechLmSynthesizer:
        """See `SpeechLmBackend`; S3Gen speaks with a voice."""
        found = super()._synthesizer()
        if not isinstance(found.codec, S3Codec):
            if self.config.voice_clip:
                raise AmttsError(
                    f"model.voice_clip is {self.config.voice_clip}, and the codec '{found.codec.name}' of this network "
                    "has a voice of its own",
                    remedy="Leave --voice out; a voice from a recording needs the codec s3",
                )
            return found
        return replace(found, codec=VoicedS3(found.codec, self._reference(found.codec)))

    def load_published_voice(self, folder: Path) -> str:
        """The speaker vector and prompt of `conds.pt`, see `SavedVoices`."""
        file = folder / BUILT_IN
        if not file.is_file():
            return ""
        voice, table = read_conditions(file), self.network.voices
        if voice.speaker is not None and voice.speaker.shape == table.vectors[0].shape:
            table.vectors[0] = voice.speaker
        prompt = torch.tensor(voice.prompt[: self.config.prompt_tokens], dtype=torch.long)
        table.prompts[0, : len(prompt)] = prompt
        table.lengths[0] = len(prompt)
        return f"the voice of {file}"

    def save_voice(self, recording: Path, file: Path) -> Path:
        """The voice of a recording as `conds.pt` of Chatterbox, see `SavedVoices`.

        Raises:
            AmttsError: the codec has a voice of its own, or the recording cannot be read.
        """
        codec = self.speech_codec()
        if not isinstance(codec, S3Codec):
            raise AmttsError(
                f"the codec '{codec.name}' of this network has a voice of its own and takes no other"
            )
        encoder = Path(self.config.voice_encoder) if self.config.voice_encoder else None
        voice = codec.speaking(self.config.s3gen).voice(
            recording, encoder=encoder, prompt=self._prompt_seconds()
        )
        return write_conditions(file.with_name(f"{file.name}.pt"), voice, emotion=self.config.emotion)

    def _reference(self, codec: S3Codec) -> SpeakerVoice:
        """Whose voice S3Gen speaks with: that of `voice_clip`, else the one beside the codec's weights."""
        codec.speaking(self.config.s3gen)
        if not self.config.voice_clip:
            return codec.built_in_voice()
        encoder = Path(self.config.voice_encoder) if self.config.voice_encoder else None
        return codec.voice(Path(self.config.voice_clip), encoder=encoder, prompt=self._prompt_seconds())

    def _prompt_seconds(self) -> Seconds:
        """Of speech that the network takes as its prompt."""
        return float(self.config.prompt_tokens / S3Codec.frame_rate)

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """See `amtts_chatterbox.t3.reference`."""
        return reference_checks(folder)

    def export(self, folder: Path, *, format: str) -> None:
        """`chatterbox`: a folder that stock Chatterbox can read."""
        start, stop = self.tokenizer.bos_id, self.tokenizer.eos_id
        export_chatterbox(self.network, folder, start_text=start, stop_text=stop, tokenizer=self.tokenizer)

    def _voice(self, index: int) -> Voice:
        """How T3 knows the speaker: `voice_clip` where the codec has a voice encoder, else the speaker table."""
        voices = self.network.voices
        prompt = voices.prompts[index, : int(voices.lengths[index])].tolist()
        vector = voices.vectors[index]
        if self.config.voice_clip:
            codec = self.speech_codec()
            assert isinstance(codec, S3Codec), "`_synthesizer` refuses a recording for other codecs"
            given = self._reference(codec)
            prompt = given.prompt[: self.config.prompt_tokens]
            vector = self._speaker_vector(given, vector)
        return Voice(speaker=vector, prompt=prompt, emotion=self.config.emotion)

    def _speaker_vector(self, given: SpeakerVoice, own: Tensor) -> Tensor:
        """The vector of a recording, or the speaker's `own` where no voice encoder was there."""
        if given.speaker is None:
            logger.warning(
                "no voice encoder: T3 speaks with the vector of its own speaker and the prompt of %s; name one with "
                "--set model.voice_encoder=ve.safetensors, or put it beside the weights of S3Gen",
                self.config.voice_clip,
            )
            return own
        if given.speaker.shape != own.shape:
            raise AmttsError(
                f"{self.config.voice_clip} has a speaker vector of {len(given.speaker)} channels, this network reads "
                f"{len(own)}",
                remedy="Name the voice encoder that it was trained with: --set model.voice_encoder=PATH",
            )
        return given.speaker.to(own)


@lru_cache(maxsize=1)
def _encoder(path: str) -> VoiceEncoder:
    return load_voice_encoder(Path(path))
