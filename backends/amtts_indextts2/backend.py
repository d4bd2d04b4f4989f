"""The IndexTTS2 GPT as a backend: codes of a codec given by path, batches, weights, speech."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.capabilities import (
    BatchStatistics,
    Blocks,
    BlocksReadOutside,
    FineTuning,
    ReferenceAudio,
    ReferenceChecks,
    SpeakerConditioning,
    SpeechCodes,
    SpeechScoring,
    Streaming,
    TextScoring,
    WeightConversion,
)
from amtts_core.contract.codec import CodecIdentity, SpeechCodec, code_vectors_of
from amtts_core.contract.reference_audio import FeatureExtractor, PromptEncoder, PromptFeatures
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TextTensor, TrainingExamples
from amtts_core.errors import AmttsError
from amtts_core.nn.soft_code_targets import near_targets, start_rows
from amtts_indextts2.alignment import alignment_layer
from amtts_indextts2.codec import NAME, codec_of
from amtts_indextts2.config import PRESETS, IndexTTS2Config, SemanticHeadConfig
from amtts_indextts2.learner import IndexTTS2Learner
from amtts_indextts2.losses import code_rows
from amtts_indextts2.network import IndexTTS2Gpt, TextIds
from amtts_indextts2.speaking import Speaking
from amtts_indextts2.start import PUBLISHED
from amtts_indextts2.trunk import INITIAL_DEVIATION
from amtts_indextts2.voices import (
    CONDITIONERS,
    adapted_to,
    condenser_of,
    prompt_extractor,
    prompts_of,
)
from amtts_indextts2.weights import LICENSE

logger = logging.getLogger(__name__)


class IndexTTS2Backend(Backend[IndexTTS2Config]):
    """Autoregressive speech in a codec's codes; speakers from a learnt table, or from what is heard of other clips."""

    spec: ClassVar[BackendSpec[IndexTTS2Config]] = BackendSpec(
        name=NAME,
        summary="IndexTTS2's GPT over the codes of a speech codec (DAC, mel-codes)",
        sample_rate=lambda config: codec_of(config).sample_rate,
        learns_from="codes",
        config=IndexTTS2Config,
        mutable_settings=(
            "dropout",
            "text_weight",
            "text_drop",
            "free_length",
            "sampling",
            "int8",
            "draft",
            "bf16",
            "position_skip",
            "codec_weights",
            "voice_model",
            "voice_statistics",
            "voice_clip",
        ),
        presets=PRESETS,
        training_defaults={
            "data": {"batch_frames": 6000},
            "training": {
                "max_steps": 20000,
                "optim": {"learning_rate": 5e-4, "warmup_steps": 300, "weight_decay": 0.01},
            },
        },
        speakers=SpeakerConditioning(tables=("speaker_table.weight", "voices.latents", "voices.emotion")),
        speech_codes=SpeechCodes(),
        reference_audio=ReferenceAudio(encoder_prefixes=CONDITIONERS),
        streaming=Streaming(),
        blocks=Blocks(),
        blocks_read_outside=BlocksReadOutside(),
        batch_statistics=BatchStatistics(),
        text_scoring=TextScoring(),
        speech_scoring=SpeechScoring(term="codes"),
        fine_tuning=FineTuning(
            lora_targets=(r"trunk\.blocks\.\d+\.(attention\.qkv|attention\.out|up|down)",)
        ),
        weight_conversion=WeightConversion(),
        published=PUBLISHED,
        reference_checks=ReferenceChecks(),
        weights_license=f"{LICENSE} when started from published weights; none from scratch",
    )
    network: IndexTTS2Gpt
    code_deviation = INITIAL_DEVIATION
    carried_encoders = False
    """The encoders of clips came with the weights it starts from."""

    def build_network(self) -> IndexTTS2Gpt:
        """Its text tables have one row per token and one more."""
        tokenizer, config = self.tokenizer, self.config
        marks = TextIds(tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_id)
        network = IndexTTS2Gpt(config, marks, num_speakers=max(1, self.speakers.num_embeddings))
        network.initialize()
        if config.conditioner_training == "frozen":
            for parameter in network.conditioners():
                parameter.requires_grad_(False)
        return network

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """Embedding, head and its bias; each has one row more than tokens."""
        return (
            TextTensor("text.embedding.weight", "embedding", num_extra_rows=1),
            TextTensor("text.head.weight", "head", num_extra_rows=1),
            TextTensor("text.head.bias", "bias", num_extra_rows=1),
        )

    def speech_codec(self) -> SpeechCodec:
        """The codec of `config.codec`, where the network is.

        Raises:
            AmttsError: it is not the one whose codes the network has learnt.
        """
        codec = codec_of(self.config, device=str(self.device))
        learnt = bytes(self.network.codec_hash.tolist()).hex()
        if any(self.network.codec_hash.tolist()) and learnt != codec.weights_hash:
            raise AmttsError(
                f"this network has learnt the codes of {codec.name}:{learnt[:12]}, "
                f"{self.config.codec_weights} is {codec.name}:{codec.weights_hash[:12]}",
                remedy="Put the codec's own weights there",
            )
        return codec

    def features(self, waveform: np.ndarray) -> Features:
        """`codes`: (L, K) int32 of a waveform (T,)."""
        codec = codec_of(self.config)
        samples = waveform if len(waveform) else np.zeros(1, np.float32)
        codes = codec.encode(torch.from_numpy(np.ascontiguousarray(samples))[None])[0]
        return Features(arrays={"codes": codes.T.to(torch.int32).contiguous().cpu().numpy()})

    def feature_key(self) -> str:
        """The codec, its weights and its codebooks."""
        codec = codec_of(self.config)
        return f"{codec.name}:{codec.weights_hash}:{codec.num_codebooks}"

    def prompt_extractor(self) -> FeatureExtractor | None:
        """`frames` (L, 1024) float32 of w2v-bert; nothing with a table of speakers."""
        return prompt_extractor(self.config)

    def prompt_encoder(self) -> PromptEncoder | None:
        """`latents` (N, D) and `emotion` (1, D) of a clip, where the encoders do not learn."""
        return condenser_of(self.network)

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `voices.adapted_to`."""
        return adapted_to(self.config, weights)

    def set_speaker_embeddings(self, prompts: Iterable[tuple[int, PromptFeatures]]) -> None:
        """Speakers sound like the mean of their recordings where no reference audio is given."""
        self.network.voices.remember(prompts)

    def codec_identity(self) -> CodecIdentity:
        """The codec of the settings, with the codebooks that the head reads."""
        return CodecIdentity.of(codec_of(self.config))

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """Text and codes have to fit the position tables."""
        if num_tokens > self.config.max_text_tokens:
            return f"{num_tokens} tokens are more than max_text_tokens {self.config.max_text_tokens}"
        if lengths["codes"] > self.config.most_frames:
            return f"{lengths['codes']} code frames are more than {self.config.most_frames}"
        return ""

    def initialize(self, examples: TrainingExamples) -> None:
        """Remembers which codec's codes it learns; with `codec_start` new code rows begin as its entries."""
        config = self.config
        learns = config.conditioner_training == "trained"
        if config.conditioning == "conformers" and not learns and not self.carried_encoders:
            raise AmttsError(
                "model.conditioner_training is 'frozen', and the encoders of clips never learnt anything",
                remedy="Start from published weights with --from, or --set model.conditioner_training=trained",
            )
        digest = bytes.fromhex(self.speech_codec().weights_hash)
        self.network.codec_hash.copy_(torch.tensor(list(digest), dtype=torch.uint8))
        if not self.config.codec_start:
            return
        books = zip(self.network.speech.book_tables(), code_vectors_of(codec_of(self.config)), strict=True)
        for (embedding, head), vectors in books:
            start_rows([embedding], vectors, deviation=self.code_deviation)
            start_rows([head], vectors, deviation=INITIAL_DEVIATION)

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Code frames."""
        return lengths["codes"]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`tokens` (B, N), `inputs`, `targets` (B, S[, K]), and (B,) each of lengths, frames, rows and speakers.

        What is heard of other clips is added, see `prompts_of`.
        """
        codes = [torch.from_numpy(e.features["codes"].astype(np.int64)) for e in examples]
        rows = code_rows(codes, self.config.head)
        tokens = [torch.tensor(e.tokens, dtype=torch.int64) for e in examples]
        return {
            "ids": [example.id for example in examples],
            "tokens": torch.nn.utils.rnn.pad_sequence(
                tokens, batch_first=True, padding_value=self.tokenizer.pad_id
            ),
            "token_lengths": torch.tensor([len(t) for t in tokens]),
            "frames": torch.tensor([len(c) for c in codes]),
            "inputs": rows.inputs,
            "targets": rows.targets,
            "row_lengths": rows.lengths,
            "speakers": torch.tensor([example.speaker for example in examples]),
            **prompts_of([e.prompt for e in examples]),
        }

    def blocks(self) -> Sequence[nn.Module]:
        """The trunk's blocks."""
        return list(self.network.trunk.blocks)

    def blocks_read_outside(self) -> Sequence[nn.Module]:
        """The one whose attention the alignment's loss looks at."""
        number = alignment_layer(self.network.trunk)
        return self.blocks()[number : number + 1] if self.config.alignment_weight else []

    def learner(self) -> IndexTTS2Learner:
        """The training view."""
        config, shares = self.config, None
        if config.code_smoothing:
            rows = self.network.speech.outputs
            books = code_vectors_of(codec_of(config))
            shares = torch.stack([near_targets(book, config.code_smoothing, rows=rows) for book in books])
        return IndexTTS2Learner(self.network, shares)

    def text_logits(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `amtts_core.forgetting.old_text`; with the first speaker and no codes behind."""
        network, device = self.network, self.device
        text = torch.tensor([list(tokens)[: self.config.max_text_tokens]], dtype=torch.int64, device=device)
        lengths = torch.tensor([text.shape[1]], device=device)
        prefix = network.prefix(network.latents_of(torch.zeros(1, dtype=torch.int64, device=device)))
        head = self.config.head
        books = 1 if isinstance(head, SemanticHeadConfig) else head.num_codebooks
        rows = code_rows([torch.zeros(1, books, dtype=torch.int64, device=device)], head)
        logits, _ = network(prefix, text, lengths, rows.inputs, rows.lengths)
        return logits[0], network.marked_text(text, lengths)[0]

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) per request; how long each should last follows from its text and its speed."""
        return self._speaking().speak(requests)

    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """The samples of `synthesize`'s first try, as the codec gets whole frames; see `Streams`."""
        return self._speaking().stream(request)

    def _speaking(self) -> Speaking:
        return Speaking(self.network, self.config, self.speech_codec())

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Conditioning, logits, losses and greedy decodes of a bundle made with the official code."""
        from amtts_indextts2.reference import reference_checks

        return reference_checks(folder)
