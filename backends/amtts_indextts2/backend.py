"""The IndexTTS2 GPT as a backend: batches, prompts, voices, published weights, over the codes of a codec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from amtts_core.contract.backend import BackendSpec
from amtts_core.contract.capabilities import (
    BatchStatistics,
    Blocks,
    BlocksReadOutside,
    CodePrediction,
    FineTuning,
    ReferenceAudio,
    ReferenceChecks,
    SpeakerConditioning,
    SpeechCodes,
    SpeechScoring,
    Streaming,
    TextAttention,
    TextScoring,
    VocoderChoice,
    WeightConversion,
)
from amtts_core.contract.codec import SpeechCodec
from amtts_core.contract.reference_audio import FeatureExtractor, PromptEncoder, PromptFeatures
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Batch, Example, SynthesisRequest, TextTensor, TrainingExamples
from amtts_core.errors import AmttsError
from amtts_core.speech_lm.backend import SpeechLmBackend
from amtts_core.speech_lm.codec_of import codec_of
from amtts_core.speech_lm.generate import Decoding, Prompt
from amtts_core.speech_lm.settings import MUTABLE
from amtts_indextts2.clips import prompt_encoder, prompt_extractor, voice_of_recording
from amtts_indextts2.config import PRESETS, IndexTTS2Config
from amtts_indextts2.inference import prompt_of_length
from amtts_indextts2.learner import IndexTTS2Learner
from amtts_indextts2.network import IndexTTS2Gpt
from amtts_indextts2.published import LICENSE
from amtts_indextts2.reference import reference_checks
from amtts_indextts2.transfer import PUBLISHED
from amtts_indextts2.voices import CONDITIONERS, adapted_to, prompts_of

NAME = "indextts2"


class IndexTTS2Backend(SpeechLmBackend[IndexTTS2Config]):
    """Autoregressive speech in a codec's codes; speakers from a learned table, or from other clips."""

    spec: ClassVar[BackendSpec[IndexTTS2Config]] = BackendSpec(
        name=NAME,
        summary="IndexTTS2's GPT over the codes of a speech codec (DAC, mel-codes)",
        sample_rate=lambda config: _codec(config).sample_rate,
        learns_from="codes",
        config=IndexTTS2Config,
        mutable_settings=(
            *MUTABLE,
            "dropout",
            "free_length",
            "position_skip",
            "voice_model",
            "voice_statistics",
            "voice_clip",
        ),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_seconds": 120.0},
            "training": {
                "max_steps": 20000,
                "optim": {"learning_rate": 5e-4, "warmup_steps": 300, "weight_decay": 0.01},
            },
        },
        speakers=SpeakerConditioning(tables=("speaker_table.weight", "voices.latents", "voices.emotion")),
        speech_codes=SpeechCodes(),
        reference_audio=ReferenceAudio(encoder_prefixes=CONDITIONERS),
        streaming=Streaming(),
        vocoder=VocoderChoice(),
        attention=TextAttention(),
        blocks=Blocks(),
        blocks_read_outside=BlocksReadOutside(),
        batch_statistics=BatchStatistics(),
        text_scoring=TextScoring(),
        code_prediction=CodePrediction(),
        speech_scoring=SpeechScoring(term="speech"),
        fine_tuning=FineTuning(
            lora_targets=(r"transformer\.blocks\.\d+\.(attention\.qkv|attention\.out|up|down)",)
        ),
        weight_conversion=WeightConversion(),
        published=PUBLISHED,
        reference_checks=ReferenceChecks(),
        weights_license=f"{LICENSE} when started from published weights; none from scratch",
    )
    network: IndexTTS2Gpt
    learner_class = IndexTTS2Learner
    controls_length = True
    encoders_transferred = False
    """The encoders of clips came with the weights it starts from."""

    def build_network(self) -> IndexTTS2Gpt:
        """Text tables have one row per token and one more; frozen encoders need no gradient."""
        config = self.config
        speakers = max(1, self.speakers.num_embeddings)
        network = IndexTTS2Gpt(config, self.tokenizer.vocab_size, num_speakers=speakers)
        network.initialize()
        for parameter in network.encoder_parameters():
            parameter.requires_grad_(config.conditioner_training == "trained")
        return network

    def open_codec(self, *, device: str = "cpu") -> SpeechCodec:
        """See `SpeechLmBackend`."""
        return _codec(self.config, device=device)

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """Embedding, head and its bias; each has one row more than tokens."""
        return (
            TextTensor("text.embedding.weight", "embedding", num_extra_rows=1),
            TextTensor("text.head.weight", "head", num_extra_rows=1),
            TextTensor("text.head.bias", "bias", num_extra_rows=1),
        )

    def prompt_extractor(self) -> FeatureExtractor | None:
        """`frames` (L, 1024) float32 of w2v-bert; None with a table of speakers."""
        return prompt_extractor(self.config)

    def prompt_encoder(self) -> PromptEncoder | None:
        """`latents` (N, D) and `emotion` (1, D) of a recording, where the encoders are frozen."""
        return prompt_encoder(self.network)

    def set_speaker_embeddings(self, prompts: Iterable[tuple[int, PromptFeatures]]) -> None:
        """Each speaker is the mean of their recordings, for speaking without reference audio."""
        self.network.voices.set_means(prompts)

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `voices.adapted_to`."""
        return adapted_to(self.config, weights)

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """Text and codes have to fit the position tables."""
        if num_tokens > self.config.max_text_tokens:
            return f"{num_tokens} tokens are more than max_text_tokens {self.config.max_text_tokens}"
        if lengths["codes"] > self.config.most_frames:
            return f"{lengths['codes']} code frames are more than {self.config.most_frames}"
        return ""

    def initialize(self, examples: TrainingExamples) -> None:
        """See `SpeechLmBackend`.

        Raises:
            AmttsError: its encoders are frozen and were never trained.
        """
        config = self.config
        frozen = config.conditioning == "conformers" and config.conditioner_training == "frozen"
        if frozen and not self.encoders_transferred:
            raise AmttsError(
                "model.conditioner_training is 'frozen', and the encoders of clips were never trained",
                remedy="Start from published weights with --from, or --set model.conditioner_training=trained",
            )
        super().initialize(examples)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """See `SpeechLmBackend`; clips of the speakers are added, see `prompts_of`."""
        return {**super().collate(examples), **prompts_of([e.prompt for e in examples])}

    def text_logits(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `amtts_core.forgetting.old_text`; with the first speaker and no codes behind."""
        network, device = self.network, self.device
        ids = self.framed(list(tokens)[: self.config.max_text_tokens])
        prefix = network.prefix(network.latents_of(torch.zeros(1, dtype=torch.int64, device=device)))
        logits, _ = network.score_text(ids, prefix, network.speech.start()[None])
        return logits, torch.tensor(ids, device=device)

    def decoding(self) -> Decoding:
        """See `SpeechLmBackend`."""
        skip = self.config.position_skip
        return replace(
            super().decoding(), position_skip=int(self.network.as_released if skip is None else skip)
        )

    def training_position_skip(self) -> int:
        """See `SpeechLmBackend`; released weights are sampled with a position left out that training did not leave."""
        return 0 if self.network.as_released else super().training_position_skip()

    @torch.inference_mode()
    def longest_text(self) -> int:
        """See `IndexTTS2Config.max_text_tokens`."""
        return int(self.config.max_text_tokens)

    def prompts(self, requests: Sequence[SynthesisRequest], frames: Sequence[int]) -> list[Prompt]:
        """See `SpeechLmBackend`."""
        network, found = self.network, []
        for request, wanted in zip(requests, frames, strict=True):
            if not request.tokens:
                raise AmttsError("there is no token to speak")
            speaker = torch.tensor([request.speaker], device=self.device)
            own = bool(self.config.voice_clip)
            latents = voice_of_recording(network, self.config) if own else network.latents_of(speaker)
            text = self.framed(request.tokens)
            found.append(prompt_of_length(network, latents, text, frames=wanted, seed=request.seed))
        return found

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Conditioning, logits, losses and greedy decodes of a bundle made with the official code."""
        return reference_checks(folder)


def _codec(config: IndexTTS2Config, *, device: str = "cpu") -> SpeechCodec:
    return codec_of(
        config.codec,
        config.codec_weights,
        backend=NAME,
        num_codebooks=config.head.num_codebooks,
        num_codes=config.head.cardinality,
        remedy=config.head.codec_remedy,
        device=device,
    )
