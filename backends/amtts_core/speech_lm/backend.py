"""What backends over the codes of a speech codec share: the codec, features, weights, training and speech.

A family adds its network (`build_network`), the learner's class and the prompts of its requests.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from amtts_core.audio.io import resample
from amtts_core.contract.backend import Backend, Config
from amtts_core.contract.capabilities import CodeLogits
from amtts_core.contract.codec import CodecIdentity, SpeechCodec, code_vectors_of
from amtts_core.contract.types import Batch, Example, Features, SynthesisRequest, TrainingExamples
from amtts_core.errors import AmttsError
from amtts_core.nn.soft_code_targets import initialize_code_embeddings, soft_code_targets
from amtts_core.speech_lm.attention import alignment_layer
from amtts_core.speech_lm.forced import forced_generation, teacher_forced_logits
from amtts_core.speech_lm.generate import Decoding, Prompt
from amtts_core.speech_lm.learner import SpeechLmLearner
from amtts_core.speech_lm.synthesizer import SpeechLmSynthesizer

INITIAL_DEVIATION = 0.02
"""Standard deviation of the weights of a new network, as GPT-2 and Llama."""


class SpeechLmBackend(Backend[Config]):
    """Base class of a family; see `amtts_core.contract.backend.Backend` for the contract."""

    config: Any
    network: Any
    controls_length: ClassVar[bool] = False
    """Its prompts can ask for a length."""
    learner_class: ClassVar[type[SpeechLmLearner]]
    code_deviation = INITIAL_DEVIATION
    """Standard deviation of code embeddings that begin as the codec's entries."""

    @abstractmethod
    def open_codec(self, *, device: str = "cpu") -> SpeechCodec:
        """The codec that the settings name, see `codec_of`."""

    @abstractmethod
    def prompts(self, requests: Sequence[SynthesisRequest], frames: Sequence[int]) -> list[Prompt]:
        """See `synthesizer.MakePrompts`."""

    def decoding(self) -> Decoding:
        """How the settings want codes to be decoded."""
        config = self.config
        return Decoding(sampling=config.sampling, precision=config.precision, draft=config.draft)

    def speech_codec(self) -> SpeechCodec:
        """The codec of the settings, where the network is.

        Raises:
            AmttsError: it is not the one whose codes the network has learned.
        """
        codec = self.open_codec(device=str(self.device))
        learned = bytes(self.network.codec_hash.tolist()).hex()
        known = any(self.network.codec_hash.tolist())
        if known and learned != codec.weights_hash and not codec.can_decode(f"{codec.name}:{learned[:12]} "):
            raise AmttsError(
                f"this network has learned the codes of {codec.name}:{learned[:12]}, "
                f"{self.config.codec_weights} is {codec.name}:{codec.weights_hash[:12]}",
                remedy="Name the codec's own weights: --set model.codec_weights=PATH",
            )
        return codec

    def choose_vocoder(self, choice: str) -> None:
        """Has the codec's mels spoken through another vocoder from now on."""
        self.speech_codec().choose_vocoder(choice)

    def codec_identity(self) -> CodecIdentity:
        """The codec of the settings, with the codebooks that the network reads."""
        return CodecIdentity.of(self.open_codec())

    def features(self, waveform: np.ndarray) -> Features:
        """`codes` (L, K) int32 of a waveform (T,)."""
        codec = self.open_codec()
        samples = resample(waveform, self.sample_rate, codec.sample_rate)
        samples = samples if len(samples) else np.zeros(1, np.float32)
        codes = codec.encode(torch.from_numpy(np.ascontiguousarray(samples))[None])[0]
        return Features(arrays={"codes": codes.T.to(torch.int32).contiguous().cpu().numpy()})

    def feature_key(self) -> str:
        """The codec, its weights and its codebooks."""
        codec = self.open_codec()
        return f"{codec.name}:{codec.weights_hash}:{codec.num_codebooks}"

    def initialize(self, examples: TrainingExamples) -> None:
        """Stores which codec's codes are learned; with `codec_start` code tables start as the codec's entries."""
        digest = bytes.fromhex(self.speech_codec().weights_hash)
        self.network.codec_hash.copy_(torch.tensor(list(digest), dtype=torch.uint8))
        if not self.config.codec_start:
            return
        entries = code_vectors_of(self.open_codec())
        for (embedding, head), vectors in zip(self.network.speech.codebook_tables(), entries, strict=True):
            initialize_code_embeddings([embedding], vectors, deviation=self.code_deviation)
            initialize_code_embeddings([head], vectors, deviation=INITIAL_DEVIATION)

    def framed(self, tokens: Sequence[int]) -> list[int]:
        """A text between its marks."""
        return [self.tokenizer.bos_id, *tokens, self.tokenizer.eos_id]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """`tokens` (B, N) from start to stop, `inputs` and `targets` (B, S, K), (B,) each of lengths and speakers."""
        codebooks = self.network.speech.num_codebooks
        codes = [
            torch.from_numpy(e.features["codes"].astype(np.int64).reshape(-1, codebooks)) for e in examples
        ]
        tokens = [torch.tensor(self.framed(e.tokens)) for e in examples]
        steps = self.network.speech.to_batch(codes)
        return {
            "ids": [example.id for example in examples],
            "tokens": pad_sequence(tokens, batch_first=True, padding_value=self.tokenizer.pad_id),
            "token_lengths": torch.tensor([len(t) for t in tokens]),
            "frames": torch.tensor([len(c) for c in codes]),
            "inputs": steps.inputs,
            "targets": steps.targets,
            "input_lengths": steps.lengths,
            "speakers": torch.tensor([example.speaker for example in examples]),
        }

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Code frames."""
        return lengths["codes"]

    def blocks(self) -> Sequence[nn.Module]:
        """The transformer's blocks."""
        return list(self.network.transformer.blocks)

    def blocks_read_outside(self) -> Sequence[nn.Module]:
        """The one whose attention the alignment loss reads."""
        number = alignment_layer(self.config.layers)
        return self.blocks()[number : number + 1] if self.config.alignment_weight else []

    def learner(self) -> SpeechLmLearner:
        """The training view."""
        config, soft_targets = self.config, None
        if config.code_smoothing:
            rows = self.network.speech.outputs
            entries = code_vectors_of(self.open_codec())
            soft_targets = torch.stack(
                [soft_code_targets(v, config.code_smoothing, num_tokens=rows) for v in entries]
            )
        return self.learner_class(self.network, soft_targets)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) per request; the codes of all are drawn as one batch."""
        return self._synthesizer().speak(requests)

    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """The samples of `synthesize`'s first attempt, as they come; see `Streaming`."""
        return self._synthesizer().stream(request)

    def attention(self, request: SynthesisRequest) -> Tensor:
        """(text, speech) attention of the layer that follows the text; speaks the request again."""
        (attempt,) = self._synthesizer().attempts([request])
        codes = attempt.decoded.codes.to(torch.int32).numpy()
        example = Example(
            id="", tokens=list(request.tokens), features={"codes": codes}, speaker=request.speaker
        )
        device = self.device
        batch = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in self.collate([example]).items()
        }
        return self.learner_class(self.network).figures(batch)["alignment"]

    def training_position_skip(self) -> int:
        """Positions that generation leaves out after the first step, as training did."""
        return self.decoding().position_skip

    @torch.inference_mode()
    def code_logits(self, example: Example) -> CodeLogits:
        """See `CodePrediction`; generation begins with the prompt of a request for the same text."""
        self.network.eval()
        codes = example.features["codes"].astype(np.int64).reshape(-1, self.network.speech.num_codebooks)
        own = Example(
            id=example.id, tokens=example.tokens, features={"codes": codes}, speaker=example.speaker
        )
        request = SynthesisRequest(tokens=example.tokens, speaker=example.speaker)
        (prompt,) = self.prompts([request], [len(codes)])
        stepwise, tokens = forced_generation(
            self.network, prompt, codes.tolist(), position_skip=self.training_position_skip()
        )
        batch = {
            name: value.to(self.device) if isinstance(value, Tensor) else value
            for name, value in self.collate([own]).items()
        }
        forced = teacher_forced_logits(self.learner_class(self.network), batch)
        return CodeLogits(forced[-len(stepwise) :], stepwise, tokens)

    def _synthesizer(self) -> SpeechLmSynthesizer:
        self.network.eval()
        return SpeechLmSynthesizer(
            network=self.network,
            codec=self.speech_codec(),
            decoding=self.decoding(),
            prompts=self.prompts,
            rate=self.sample_rate,
            controls_length=self.controls_length,
        )
