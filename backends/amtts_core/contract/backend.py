"""The contract between the core and a backend, on one screen.

A backend is a subclass of `Backend`, found through the entry-point group `amtts.backends`. It declares itself in
`spec`, builds one network, says which tensors are indexed by text tokens, computes the features it learns from,
and hands the trainer a `Learner`. It is language-blind: text reaches it as token ids, speakers as numbers. It never
prints and never reads the command line. How to add one: `backends/README.md`.

Required: `spec`, `build_network`, `features`, `collate`, `learner`, `synthesize`. The rest has a default.
Shapes: B utterances, T samples, N text tokens, L frames, C channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel

from amtts_core.contract.capabilities import (
    BatchStatistics,
    Blocks,
    BlocksReadOutside,
    CheckpointFiles,
    CodePrediction,
    CopySynthesis,
    Export,
    FineTuning,
    MelInput,
    MelPrediction,
    PitchControl,
    ReferenceAudio,
    ReferenceChecks,
    SavedVoices,
    SpeakerConditioning,
    SpeakerFolding,
    SpeechCodes,
    SpeechScoring,
    Streaming,
    TextAttention,
    TextScoring,
    VocoderChoice,
    WeightConversion,
)
from amtts_core.contract.learner import Learner
from amtts_core.contract.published import PublishedFormat
from amtts_core.contract.speakers import SpeakerTable
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import (
    Batch,
    Example,
    Features,
    SynthesisRequest,
    TextTensor,
    TrainingExamples,
)
from amtts_core.errors import AmttsError
from amtts_core.units import Hertz

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

TOKENS_PER_FRAME = 4
"""The most that `Backend.check_example` accepts."""
Config = TypeVar("Config", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class TextInput:
    """How a backend reads text.

    Attributes:
        tokenizers: tokenizer kinds it accepts, the recommended one first.
    """

    tokenizers: tuple[str, ...] = ("fidel", "unigram", "bpe", "char")


@dataclass(frozen=True, kw_only=True)
class BackendSpec(Generic[Config]):
    """What a backend is and what it can do, readable without building it. A part that is None is absent."""

    name: str
    summary: str
    sample_rate: Hertz | Callable[[Config], Hertz]
    """Of the audio it learns from and speaks, Hz; a function where settings (`mel.sample_rate`, a codec) decide."""
    learns_from: Literal["mel", "codes", "waveform"]
    config: type[Config]
    presets: Mapping[str, Mapping[str, Any]]
    """Preset name -> values that replace the config's defaults. The first is the default preset."""
    training_defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values that replace the defaults of the sections `training` and `data`."""
    mutable_settings: tuple[str, ...] = ()
    """Settings that say how the network learns or speaks and not what its weights mean (dropout, loss weights):
    `--resume --force` and `--set` of a checkpoint may change them. A section's name stands for all of it."""
    weights_license: str = "none: trained from scratch"
    """License of the published weights it can start from."""

    text: TextInput | None = TextInput()
    speaks: bool = True
    """False for a network that reads speech: its text is what it puts out."""
    speakers: SpeakerConditioning | None = None
    speaker_folding: SpeakerFolding | None = None
    speech_codes: SpeechCodes | None = None
    reference_audio: ReferenceAudio | None = None
    saved_voices: SavedVoices | None = None
    streaming: Streaming | None = None
    attention: TextAttention | None = None
    copy_synthesis: CopySynthesis | None = None
    vocoder: VocoderChoice | None = None
    pitch_control: PitchControl | None = None
    checkpoint_files: CheckpointFiles | None = None
    mel_prediction: MelPrediction | None = None
    mel_input: MelInput | None = None
    blocks: Blocks | None = None
    blocks_read_outside: BlocksReadOutside | None = None
    batch_statistics: BatchStatistics | None = None
    text_scoring: TextScoring | None = None
    speech_scoring: SpeechScoring | None = None
    code_prediction: CodePrediction | None = None
    fine_tuning: FineTuning = FineTuning()
    weight_conversion: WeightConversion | None = None
    published: PublishedFormat | None = None
    export: Export | None = None
    reference_checks: ReferenceChecks | None = None

    def rate_of(self, config: Config) -> Hertz:
        """The sample rate of a network with these settings.

        Raises:
            AmttsError: the settings name a codec that cannot be opened.
        """
        return self.sample_rate if isinstance(self.sample_rate, int) else int(self.sample_rate(config))

    def default_config(self) -> Config:
        """The settings of the default preset."""
        return self.config.model_validate(next(iter(self.presets.values())))

    def default_sample_rate(self) -> Hertz | None:
        """The sample rate of the default preset, Hz; None where that names no codec yet."""
        try:
            return self.rate_of(self.default_config())
        except AmttsError:
            return None


class Backend(ABC, Generic[Config]):
    """A model family with one network.

    Args:
        config: an instance of `spec.config`; sizes that follow from tokenizer and speakers are not in it.
        tokenizer: reads its text; None where `spec.text` is None.
        speakers: of the run or checkpoint.

    Raises:
        AmttsError: it learns from text and got no tokenizer.
    """

    spec: ClassVar[BackendSpec[Any]]
    config: Config
    network: nn.Module
    """Everything that is saved in `model.safetensors`."""
    untrained_tokens: frozenset[int] | None = None
    """Text tokens that training never met, of a checkpoint; None where that is not known."""

    def __init__(
        self,
        config: Config,
        *,
        tokenizer: TextTokenizer | None = None,
        speakers: SpeakerTable | Sequence[str] = (),
    ) -> None:
        if tokenizer is None and self.spec.text is not None:
            raise AmttsError(
                f"backend '{self.spec.name}' learns from text and needs a tokenizer",
                remedy="Make one with: amtts tokenize --data DIR",
            )
        self.config = config
        self.text_tokenizer = tokenizer
        self.speakers = speakers if isinstance(speakers, SpeakerTable) else SpeakerTable.of(speakers)
        self.network = self.build_network()

    # ---- required ----

    @abstractmethod
    def build_network(self) -> nn.Module:
        """A randomly initialized network for `config`, `tokenizer.vocab_size` and `speakers.num_embeddings`."""

    @abstractmethod
    def features(self, waveform: np.ndarray) -> Features:
        """What it learns from one waveform, (T,) float32 in [-1, 1] at `sample_rate`."""

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """Pads examples into tensors."""

    @abstractmethod
    def learner(self) -> Learner:
        """The training view of the network: losses by optimizer."""

    @abstractmethod
    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) float32 in [-1, 1] at `sample_rate` per request."""

    # ---- with defaults ----

    def text_tensors(self) -> tuple[TextTensor, ...]:
        """Every tensor indexed by a text-token id; vocabulary surgery resizes exactly these. None by default."""
        return ()

    def feature_key(self) -> str:
        """Changes whenever `features` would; names the cache of precomputed features. All settings by default."""
        return self.config.model_dump_json()

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Frames of an utterance, from its features' lengths; the longest feature by default."""
        return max(lengths.values())

    def longest_text(self) -> int | None:
        """Tokens that `synthesize` reads at most; longer sentences are cut. None where there is no limit."""
        return None

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """Why an utterance of these lengths cannot be learned from, or an empty string.

        By default only text that nobody can speak in that time is refused.
        """
        frames = self.num_frames(lengths)
        return f"{num_tokens} tokens for {frames} frames" if num_tokens > TOKENS_PER_FRAME * frames else ""

    def initialize(self, examples: TrainingExamples) -> None:
        """Sets what a new network takes from its settings (published weights) and training set (feature statistics).

        Called once before training, unless all weights come from a checkpoint of amtts.
        """

    # ---- given ----

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of a backend that reads text."""
        assert self.text_tokenizer is not None
        return self.text_tokenizer

    @property
    def sample_rate(self) -> Hertz:
        """Of the audio it learns from and speaks, Hz."""
        return self.spec.rate_of(self.config)

    @property
    def device(self) -> torch.device:
        """Where the network is: the device of its first parameter."""
        return next(self.network.parameters()).device
