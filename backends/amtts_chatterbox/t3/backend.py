"""Chatterbox T3 as a backend: features, batches, weights, speech. It learns the codes of one speech codec.

Its own speech codec (S3) is not part of this project yet; any registered codec with one codebook serves, and its
name and weights are settings. Speech in between is 24 kHz and resampled where the codec has another rate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from amtts_chatterbox.t3.alignment import alignment_layer, attention_map
from amtts_chatterbox.t3.config import PRESETS, SamplingConfig, T3Config
from amtts_chatterbox.t3.export import export_chatterbox
from amtts_chatterbox.t3.front_ends import VOICE_RATE
from amtts_chatterbox.t3.generate import Utterance, Voice, speak, stream
from amtts_chatterbox.t3.learner import T3Learner, padded_ids
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.reference import reference_checks
from amtts_chatterbox.t3.start import PUBLISHED
from amtts_chatterbox.t3.trunk import INITIAL_DEVIATION
from amtts_chatterbox.t3.voice_encoder import VoiceEncoder, load_voice_encoder
from amtts_chatterbox.t3.weights import LICENSE
from amtts_core.audio.io import resample
from amtts_core.audio.stretch import stretch
from amtts_core.codec.streaming import decode_pieces, frames_of_piece
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import (
    BatchStatistics,
    Blocks,
    BlocksReadOutside,
    Export,
    FineTuning,
    ReferenceChecks,
    SpeakerConditioning,
    SpeechCodes,
    SpeechScoring,
    Streaming,
    TextAttention,
    TextScoring,
)
from amtts_core.contract.codec import CodecIdentity, SpeechCodec, code_vectors_of
from amtts_core.contract.codec_registry import open_codec
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TextTensor, TrainingExamples
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.nn.soft_code_targets import near_targets, start_rows

NAME = "chatterbox"
SAMPLE_RATE = 24000
PACE_SLACK = 1.1
"""How far speech may leave the codes per token that training saw, as a factor both ways."""


class ChatterboxT3Backend(Backend[T3Config]):
    """A Llama over speech codes; reads the published T3 weights."""

    spec: ClassVar[BackendSpec[T3Config]] = BackendSpec(
        name=NAME,
        summary="T3: a Llama from text to speech codes; reads and writes the published weights",
        sample_rate=SAMPLE_RATE,
        learns_from="codes",
        config=T3Config,
        mutable_settings=(
            "text_weight",
            "text_dropout",
            "voice_dropout",
            "perceiver_dropout",
            "loss_chunk",
            "sampling",
            "bf16",
            "codec_weights",
        ),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_frames": 4000},
            "training": {"optim": {"learning_rate": 3e-4, "betas": (0.9, 0.95), "weight_decay": 0.05}},
        },
        speakers=SpeakerConditioning(tables=("voices.vectors", "voices.prompts", "voices.prompt_lengths")),
        speech_codes=SpeechCodes(),
        streaming=Streaming(),
        attention=TextAttention(),
        blocks=Blocks(),
        blocks_read_outside=BlocksReadOutside(),
        batch_statistics=BatchStatistics(),
        text_scoring=TextScoring(),
        speech_scoring=SpeechScoring(term="speech"),
        fine_tuning=FineTuning(lora_targets=("attention.qkv", "attention.out", "feed.gate_up", "feed.down")),
        published=PUBLISHED,
        export=Export(formats=("chatterbox",)),
        reference_checks=ReferenceChecks(),
        weights_license=LICENSE,
    )
    network: T3

    def build_network(self) -> T3:
        """Text embedding and head have one row per token."""
        return T3(
            self.config,
            num_text_tokens=self.tokenizer.vocab_size,
            num_voices=max(1, self.speakers.num_embeddings),
        )

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """Embedding and head; neither has a bias."""
        return TextTensor("text_embedding.weight", "embedding"), TextTensor("text_head.weight", "head")

    def speech_codec(self) -> SpeechCodec:
        """The codec that the settings name."""
        return codec_of(self.config)

    def features(self, waveform: np.ndarray) -> Features:
        """`codes` (L,) int32, and with a voice encoder `speaker` (1, E) float32."""
        config = self.config
        codec = codec_of(config)
        samples = resample(waveform, SAMPLE_RATE, codec.sample_rate)
        codes = codec.encode(torch.from_numpy(np.ascontiguousarray(samples))[None])[0, 0]
        arrays = {"codes": codes.to(torch.int32).cpu().numpy()}
        if config.voice_encoder:
            heard = torch.from_numpy(np.ascontiguousarray(resample(waveform, SAMPLE_RATE, VOICE_RATE)))
            arrays["speaker"] = _encoder(config.voice_encoder).embed(heard)[None].cpu().numpy()
        return Features(arrays=arrays)

    def feature_key(self) -> str:
        """Which codec and which voice encoder.

        Raises:
            CheckpointError: the voice encoder cannot be read, or its vectors have another size.
        """
        config = self.config
        codec = self.codec_identity().as_dict()
        if not config.voice_encoder:
            return f"{codec} "
        made = len(_encoder(config.voice_encoder).state_dict()["proj.weight"])
        if made != config.speaker_size:
            raise CheckpointError(
                f"the voice encoder {config.voice_encoder} makes vectors of {made} channels, "
                f"model.speaker_size is {config.speaker_size}",
                remedy=f"Set model.speaker_size={made}, or name another encoder",
            )
        with Path(config.voice_encoder).open("rb") as handle:
            return f"{codec} {hashlib.file_digest(handle, 'sha256').hexdigest()}"

    def codec_identity(self) -> CodecIdentity:
        """The codec of the settings."""
        return CodecIdentity.of(codec_of(self.config))

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

    def initialize(self, examples: TrainingExamples) -> None:
        """With `codec_start` the speech rows begin as the codec's entries."""
        if not self.config.codec_start:
            return
        tables = self.network.speech_embedding.weight, self.network.speech_head.weight
        start_rows(tables, code_vectors_of(codec_of(self.config))[0], deviation=INITIAL_DEVIATION)

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Speech codes."""
        return lengths["codes"]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """A batch; see the keys below.

        `tokens` (B, N) and `codes` (B, S) from start to end, `token_lengths` and `code_lengths` (B,), `speakers` (B,)
        rows of the voice table, `speaker_vectors` (B, E).
        """
        config = self.config
        starts = [config.start_speech] * config.start_tokens
        codes = [[*starts, *e.features["codes"].reshape(-1).tolist(), config.stop_speech] for e in examples]
        tokens, token_lengths = padded_ids([self._framed(e.tokens) for e in examples], self.tokenizer.pad_id)
        speech, code_lengths = padded_ids(codes, config.stop_speech)
        speakers = torch.tensor([example.speaker for example in examples])
        assert self.network.voices is not None
        vectors = self.network.voices.vectors.cpu()[speakers]
        for row, example in enumerate(examples):
            found = example.features.get("speaker", np.zeros(0)).reshape(-1)
            if len(found):
                vectors[row] = torch.from_numpy(np.array(found, dtype=np.float32))
        return {
            "ids": [example.id for example in examples],
            "tokens": tokens,
            "token_lengths": token_lengths,
            "codes": speech,
            "code_lengths": code_lengths,
            "speakers": speakers,
            "speaker_vectors": vectors,
        }

    def blocks(self) -> Sequence[nn.Module]:
        """The trunk's blocks."""
        return self.network.trunk.layers

    def blocks_read_outside(self) -> Sequence[nn.Module]:
        """The one whose attention the alignment's loss looks at."""
        number = alignment_layer(self.config.layers)
        return [self.network.trunk.layers[number]] if self.config.alignment_weight else []

    def learner(self) -> T3Learner:
        """The training view."""
        shares = None
        if self.config.code_smoothing:
            vectors = code_vectors_of(codec_of(self.config))[0]
            shares = near_targets(vectors, self.config.code_smoothing, rows=self.config.speech_rows)
        return T3Learner(self.network, self.config, shares)

    def text_logits(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `amtts_core.forgetting.old_text`; with the first speaker's vector, no prompt and no speech behind."""
        network, config, device = self.network, self.config, self.device
        assert network.voices is not None
        ids = torch.tensor([self._framed(list(tokens)[: config.text_positions - 2])], device=device)
        starts = torch.full((1, config.start_tokens), config.start_speech, device=device)
        hidden, _ = network(
            ids,
            torch.tensor([ids.shape[1]], device=device),
            starts,
            torch.tensor([config.start_tokens], device=device),
            network.voices.vectors[:1],
            torch.tensor([config.emotion], device=device),
            torch.zeros(1, 1, dtype=torch.int64, device=device),
            torch.zeros(1, dtype=torch.int64, device=device),
            start_tokens=config.start_tokens,
        )
        end = hidden.shape[1] - config.start_tokens  # one row: conditioning, text, speech
        return network.text_head(hidden[0, end - ids.shape[1] : end]), ids[0]

    @torch.inference_mode()
    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) per request; the codes of all are drawn as one batch.

        T3 has no pace to set, so another speed stretches the waveform.
        """
        codec = self.speech_codec()
        utterances = [self._utterance(request) for request in requests]
        self.network.eval()
        spoken = speak(self.network, utterances, sampling=self._sampling(), dtype=self._dtype())
        waveforms = [self._to_waveform(one.codes, codec) for one in spoken]
        return [
            wave if request.speed == 1 else stretch(wave, SAMPLE_RATE, speed=request.speed)
            for wave, request in zip(waveforms, requests, strict=True)
        ]

    @torch.inference_mode()
    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """The samples of `synthesize`'s first try, as they come; see `Streams`.

        Whole sentences where the codec decodes only those, has another rate, or the request another speed.
        """
        codec = self.speech_codec()
        if request.speed != 1 or codec.sample_rate != SAMPLE_RATE or codec.decoder_context is None:
            yield from self.synthesize([request])
            return
        utterance = self._utterance(request)
        self.network.eval()
        device, every = self.device, frames_of_piece(codec)
        spoken = stream(self.network, utterance, every=every, sampling=self._sampling(), dtype=self._dtype())
        yield from decode_pieces(codec, (torch.tensor(codes, device=device)[:, None] for codes in spoken))

    @torch.inference_mode()
    def attention(self, request: SynthesisRequest) -> Tensor:
        """(text, speech) shares of attention of the layer that follows the text; speaks the request again."""
        utterance = self._utterance(request)
        self.network.eval()
        (spoken,) = speak(self.network, [utterance], sampling=self._sampling(), dtype=self._dtype())
        config, device = self.config, self.device
        speech = [*[config.start_speech] * config.start_tokens, *spoken.codes, config.stop_speech]
        rows = (torch.tensor(utterance.text, device=device), torch.tensor(speech, device=device))
        return attention_map(self.network, *rows, utterance.voice.speaker, utterance.voice.prompt).T

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """See `amtts_chatterbox.t3.reference`."""
        return reference_checks(folder)

    def export(self, folder: Path, *, format: str) -> None:
        """`chatterbox`: a folder that stock Chatterbox can read."""
        start, stop = self.tokenizer.bos_id, self.tokenizer.eos_id
        export_chatterbox(self.network, folder, start_text=start, stop_text=stop, tokenizer=self.tokenizer)

    def _framed(self, tokens: Sequence[int]) -> list[int]:
        return [self.tokenizer.bos_id, *tokens, self.tokenizer.eos_id]

    def _sampling(self) -> SamplingConfig:
        """The settings, with the bounds of the length drawn in to what training saw, and a little beyond."""
        sampling, voices = self.config.sampling, self.network.voices
        seen = voices.codes_per_token if voices is not None else None
        if seen is None:
            return sampling
        return sampling.model_copy(
            update={
                "least_per_symbol": max(sampling.least_per_symbol, seen[0] / PACE_SLACK),
                "most_per_symbol": min(sampling.most_per_symbol, seen[1] * PACE_SLACK),
            }
        )

    def _dtype(self) -> torch.dtype | None:
        return torch.bfloat16 if self.config.bf16 else None

    def _utterance(self, request: SynthesisRequest) -> Utterance:
        return Utterance(
            text=self._framed(request.tokens), voice=self._voice(request.speaker), seed=request.seed
        )

    def _voice(self, index: int) -> Voice:
        voices = self.network.voices
        assert voices is not None
        prompt = voices.prompts[index, : int(voices.prompt_lengths[index])].tolist()
        return Voice(speaker=voices.vectors[index], prompt=prompt, emotion=self.config.emotion)

    def _to_waveform(self, codes: list[int], codec: SpeechCodec) -> np.ndarray:
        if not codes:
            return np.zeros(0, np.float32)
        wave = codec.decode(torch.tensor(codes, device=self.device)[None, None])[0]
        samples = resample(wave.cpu().numpy(), codec.sample_rate, SAMPLE_RATE)
        return np.clip(samples, -1, 1).astype(np.float32)


def codec_of(config: T3Config) -> SpeechCodec:
    """The codec that the settings name, opened once.

    Raises:
        AmttsError: none is named, or its codebook is not the network's.
    """
    if not config.codec:
        raise AmttsError(
            f"backend '{NAME}' learns the codes of a speech codec, and its settings name none",
            remedy="Name one: --set model.codec=mel-codes --set model.codec_weights=RUN",
        )
    codec = _opened(config.codec, config.codec_weights)
    if codec.cardinality != config.speech_codes:
        start, stop = codec.cardinality, codec.cardinality + 1
        raise AmttsError(
            f"codec '{config.codec}' has {codec.cardinality} codes, the network expects {config.speech_codes}",
            remedy=f"Set model.speech_codes={codec.cardinality}, model.start_speech={start}, "
            f"model.stop_speech={stop} and model.speech_rows={stop + 1}",
        )
    return codec


@lru_cache(maxsize=2)
def _opened(name: str, weights: str) -> SpeechCodec:
    return open_codec(name, Path(weights), num_codebooks=1)


@lru_cache(maxsize=1)
def _encoder(path: str) -> VoiceEncoder:
    return load_voice_encoder(Path(path))
