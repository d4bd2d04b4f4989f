"""Optional parts of a backend. `BackendSpec` declares them; a part that it leaves out is None and is never called.

A capability names the methods that the backend's class has to define (its `Methods` protocol). They are compared
with the class when it is registered, see `amtts_core.contract.check`. The core calls them through `of(backend)`:

    if (streaming := backend.spec.streaming) is not None:
        chunks = streaming.of(backend).stream(request)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

from amtts_core.contract.codec import CodecIdentity, SpeechCodec
from amtts_core.contract.learner import AllReduce
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.contract.types import Example, SynthesisRequest

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from amtts_core.contract.mel_format import MelFormat
    from amtts_core.contract.reference_audio import FeatureExtractor, PromptEncoder, PromptFeatures

M = TypeVar("M")


class Capability(Generic[M]):
    """Base of all capabilities; `M` is the protocol of the methods that the declaring class defines."""

    Methods: ClassVar[type]
    on_learner: ClassVar[bool] = False
    """The methods are those of the learner, not of the backend's class."""

    def of(self, declared: object) -> M:
        """The backend (or learner) as what it declares to be."""
        return cast(M, declared)


class StreamingMethods(Protocol):
    """See `Streaming`."""

    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """Waveforms (T,) whose concatenation is the speech of the request; what was yielded does not change."""
        ...


@dataclass(frozen=True)
class Streaming(Capability[StreamingMethods]):
    """The backend yields speech while it is still generating."""

    Methods: ClassVar[type] = StreamingMethods


class TextAttentionMethods(Protocol):
    """See `TextAttention`."""

    def attention(self, request: SynthesisRequest) -> Tensor:
        """(N, L) attention probabilities of speech frames over text tokens while the request is spoken."""
        ...


@dataclass(frozen=True)
class TextAttention(Capability[TextAttentionMethods]):
    """The backend can show where in the text its speech is."""

    Methods: ClassVar[type] = TextAttentionMethods


class TextScoringMethods(Protocol):
    """See `TextScoring`."""

    def text_logits(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Logits (N + 2, V) at the positions of start, tokens and stop, and those ids (N + 2,)."""
        ...


@dataclass(frozen=True)
class TextScoring(Capability[TextScoringMethods]):
    """The network predicts its own text, so forgetting of old text can be measured."""

    Methods: ClassVar[type] = TextScoringMethods


class CopySynthesisMethods(Protocol):
    """See `CopySynthesis`."""

    def copy_synthesis(self, waveform: np.ndarray) -> np.ndarray:
        """A recording (T,) at `sample_rate` through what the network learns from (mels, a latent) and back, (T',)."""
        ...


@dataclass(frozen=True)
class CopySynthesis(Capability[CopySynthesisMethods]):
    """The backend can copy a recording, which shows what its vocoder or decoder alone costs."""

    Methods: ClassVar[type] = CopySynthesisMethods


class NoMethods(Protocol):
    """The capability is data alone."""


@dataclass(frozen=True)
class SpeechScoring(Capability[NoMethods]):
    """The network predicts speech tokens, so forgetting of old speech can be measured.

    Attributes:
        term: the term of its loss that is the cross-entropy of speech tokens, nats per token.
    """

    Methods: ClassVar[type] = NoMethods
    term: str


@dataclass(frozen=True)
class CodeLogits:
    """The logits of one utterance's speech tokens, computed in both ways. S steps, K codebooks, V outputs.

    Attributes:
        teacher_forced: (S, K, V), of one training pass over the whole utterance.
        step_by_step: (S, K, V), of the generation loop that is fed the same tokens.
        tokens: (S, K) int64, the tokens that generation chooses at these steps; -100 where a codebook chooses none.
    """

    teacher_forced: Tensor
    step_by_step: Tensor
    tokens: Tensor


class CodePredictionMethods(Protocol):
    """See `CodePrediction`."""

    def code_logits(self, example: Example) -> CodeLogits:
        """Logits of the example's speech tokens, in evaluation mode and with the speaker's stored voice."""
        ...


@dataclass(frozen=True)
class CodePrediction(Capability[CodePredictionMethods]):
    """The network predicts speech tokens one after another, and training and generation can be compared."""

    Methods: ClassVar[type] = CodePredictionMethods


class SpeechCodesMethods(Protocol):
    """See `SpeechCodes`."""

    def codec_identity(self) -> CodecIdentity:
        """The codec that the settings name.

        Raises:
            AmttsError: they name none, or one that cannot be opened.
        """
        ...

    def speech_codec(self) -> SpeechCodec:
        """The codec, on the network's device.

        Raises:
            AmttsError: it is not the codec whose codes the network has learned.
        """
        ...


@dataclass(frozen=True)
class SpeechCodes(Capability[SpeechCodesMethods]):
    """The backend learns the codes of a speech codec and accepts them from `amtts encode-codes`, too.

    Attributes:
        path_setting: the setting with the path of the codec's weights. The codec is the same wherever they are.
    """

    Methods: ClassVar[type] = SpeechCodesMethods
    path_setting: str = "codec_weights"


class ReferenceAudioMethods(Protocol):
    """See `ReferenceAudio`."""

    def prompt_extractor(self) -> FeatureExtractor | None:
        """How features of reference audio are computed; None where the settings use no reference audio."""
        ...

    def prompt_encoder(self) -> PromptEncoder | None:
        """The frozen encoder that turns those features into conditioning; None where training changes it.

        Raises:
            AmttsError: the features are of another model than the one the encoder was trained with.
        """
        ...

    def set_speaker_embeddings(self, prompts: Iterable[tuple[int, PromptFeatures]]) -> None:
        """Stores the conditioning of each speaker (id, encoded prompt), for speaking without reference audio."""
        ...


@dataclass(frozen=True)
class ReferenceAudio(Capability[ReferenceAudioMethods]):
    """The backend is conditioned on another recording of the speaker, given as `Example.prompt`.

    Attributes:
        encoder_prefixes: prefixes of the parameters of the reference encoder; their learning rate is
            `optim.rates.speaker_encoder`.
    """

    Methods: ClassVar[type] = ReferenceAudioMethods
    encoder_prefixes: tuple[str, ...] = ()


class VocoderChoiceMethods(Protocol):
    """See `VocoderChoice`."""

    def choose_vocoder(self, choice: str) -> None:
        """Speaks through another vocoder from now on.

        Raises:
            AmttsError: as `open_vocoder`, or its codec makes waveforms without mels.
        """
        ...


@dataclass(frozen=True)
class VocoderChoice(Capability[VocoderChoiceMethods]):
    """The backend speaks through mels, which any vocoder can turn into waveforms."""

    Methods: ClassVar[type] = VocoderChoiceMethods


class PitchControlMethods(Protocol):
    """See `PitchControl`."""

    def has_pitch(self) -> bool:
        """Whether the network, as its settings made it, predicts a pitch that can be moved."""
        ...


@dataclass(frozen=True)
class PitchControl(Capability[PitchControlMethods]):
    """The backend obeys `pitch`, `pitch_range` and `final_rise` of a `SynthesisRequest`."""

    Methods: ClassVar[type] = PitchControlMethods


class CheckpointFilesMethods(Protocol):
    """See `CheckpointFiles`."""

    def write_files(self, checkpoint: Path) -> None:
        """Puts copies into a checkpoint's folder that is being written."""
        ...

    def read_files(self, checkpoint: Path, *, changed: Collection[str]) -> None:
        """Uses the copies of a checkpoint's folder, where it has some.

        Args:
            checkpoint: the folder.
            changed: settings of the network that the caller has replaced: what they name is not the checkpoint's.
        """
        ...


@dataclass(frozen=True)
class CheckpointFiles(Capability[CheckpointFilesMethods]):
    """The backend needs further files to speak, such as a vocoder's weights; its checkpoints hold copies."""

    Methods: ClassVar[type] = CheckpointFilesMethods


class MelPredictionMethods(Protocol):
    """See `MelPrediction`."""

    def predicted_mel_format(self) -> MelFormat:
        """Of the mels."""
        ...

    def predict_mel(self, tokens: Sequence[int], waveform: np.ndarray, *, speaker: int) -> np.ndarray:
        """Natural-log mel (L, M) predicted for a waveform (T,), aligned with it.

        Raises:
            AmttsError: the recording is too short for its text.
        """
        ...


@dataclass(frozen=True)
class MelPrediction(Capability[MelPredictionMethods]):
    """The backend predicts the mel of a recording whose text it knows; a vocoder can be fine-tuned on these."""

    Methods: ClassVar[type] = MelPredictionMethods


class MelInputMethods(Protocol):
    """See `MelInput`."""

    def input_mel_format(self) -> MelFormat:
        """Of the mels that it reads."""
        ...


@dataclass(frozen=True)
class MelInput(Capability[MelInputMethods]):
    """A vocoder in training: its examples may hold the feature `mel`, predicted by a voice, natural log (L, M)."""

    Methods: ClassVar[type] = MelInputMethods


class SavedVoicesMethods(Protocol):
    """See `SavedVoices`."""

    def load_published_voice(self, folder: Path) -> str:
        """Takes the voice beside published weights as the first speaker's; says what it took, or an empty string."""
        ...

    def save_voice(self, recording: Path, file: Path) -> Path:
        """Writes the voice of a recording.

        Args:
            recording: of the speaker.
            file: to write, without an ending; the backend adds its own.

        Returns:
            the file.

        Raises:
            AmttsError: the recording cannot be read, or the file cannot be written.
        """
        ...


@dataclass(frozen=True)
class SavedVoices(Capability[SavedVoicesMethods]):
    """Voices are small files: published ones come with the weights, one's own are made of recordings."""

    Methods: ClassVar[type] = SavedVoicesMethods


class BlocksMethods(Protocol):
    """See `Blocks`."""

    def blocks(self) -> Sequence[nn.Module]:
        """Modules that hold most of the computation and are called as modules in training.

        Each is a function of its inputs and weights alone (dropout aside): it changes no buffer, and whether a
        parameter needs a gradient is the same in the forward and in the backward pass.
        """
        ...


@dataclass(frozen=True)
class Blocks(Capability[BlocksMethods]):
    """The backend lists its blocks, for gradient checkpointing, `torch.compile` and sharding."""

    Methods: ClassVar[type] = BlocksMethods


class BlocksReadOutsideMethods(Protocol):
    """See `BlocksReadOutside`."""

    def blocks_read_outside(self) -> Sequence[nn.Module]:
        """Those of `Blocks.blocks` whose weights the learner also reads outside of their own forward pass."""
        ...


@dataclass(frozen=True)
class BlocksReadOutside(Capability[BlocksReadOutsideMethods]):
    """Sharding has to keep the weights of some blocks in place throughout a pass."""

    Methods: ClassVar[type] = BlocksReadOutsideMethods


class BatchStatisticsMethods(Protocol):
    """See `BatchStatistics`."""

    def begin_step(self) -> None:
        """Discards what an unfinished step accumulated and starts to accumulate."""
        ...

    def end_step(self, all_reduce: AllReduce) -> None:
        """Updates the network; every process calls it, also one that had no batch."""
        ...


@dataclass(frozen=True)
class BatchStatistics(Capability[BatchStatisticsMethods]):
    """The learner also updates the network from statistics of its batches (a codebook's running means).

    Forward passes accumulate; the update happens once a step, when all batches of all processes are done. So a step
    does not depend on the number of processes, and a skipped step leaves no trace.
    """

    Methods: ClassVar[type] = BatchStatisticsMethods
    on_learner: ClassVar[bool] = True


class ExportMethods(Protocol):
    """See `Export`."""

    def export(self, folder: Path, *, format: str) -> None:
        """Writes the network in a foreign format, one of `Export.formats`."""
        ...


@dataclass(frozen=True)
class Export(Capability[ExportMethods]):
    """The backend writes formats that other programs read.

    Attributes:
        formats: their names.
        usage: format -> how another program speaks with the files, as Markdown for the card beside them.
    """

    Methods: ClassVar[type] = ExportMethods
    formats: tuple[str, ...]
    usage: Mapping[str, str] = field(default_factory=dict)


class ReferenceChecksMethods(Protocol):
    """See `ReferenceChecks`."""

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Compares this family's maths with a bundle of stored numbers.

        Raises:
            AmttsError: the bundle cannot be read.
        """
        ...


@dataclass(frozen=True)
class ReferenceChecks(Capability[ReferenceChecksMethods]):
    """The backend can be compared with stored numbers of an official implementation."""

    Methods: ClassVar[type] = ReferenceChecksMethods


class WeightConversionMethods(Protocol):
    """See `WeightConversion`."""

    def convert_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's tensors as this network names and shapes them; speakers stay in the checkpoint's order."""
        ...


@dataclass(frozen=True)
class WeightConversion(Capability[WeightConversionMethods]):
    """The backend can start from weights of its own family that were trained with other settings."""

    Methods: ClassVar[type] = WeightConversionMethods


@dataclass(frozen=True)
class SpeakerConditioning(Capability[NoMethods]):
    """The network has several voices.

    Attributes:
        tables: tensors whose first axis is indexed by speaker ids.
        layers: parts of the names of layers through which a speaker embedding enters and which a network of one voice
            does not have; with these at zero every speaker sounds like that voice, so that one voice can grow. Empty
            where the embedding itself is added: its rows begin at zero then.
    """

    Methods: ClassVar[type] = NoMethods
    tables: tuple[str, ...]
    layers: tuple[str, ...] = ()


class SpeakerFoldingMethods(Protocol):
    """See `SpeakerFolding`."""

    def fold_speaker(self, weights: Mapping[str, Tensor], *, speaker: int | None) -> dict[str, Tensor]:
        """Weights of a network of several speakers as those of one voice; None takes the mean of all speakers."""
        ...


@dataclass(frozen=True)
class SpeakerFolding(Capability[SpeakerFoldingMethods]):
    """A single voice has no speaker table, and one speaker of several can be turned into such a voice.

    Without it the single voice keeps a row of the table, see `SpeakerTable.has_embedding`.
    """

    Methods: ClassVar[type] = SpeakerFoldingMethods


@dataclass(frozen=True)
class FineTuning(Capability[NoMethods]):
    """What training from existing weights has to know of the network.

    Attributes:
        lora_targets: layers that get adapters in LoRA training: ends of their names, or whole-name regular
            expressions.
        training_only_prefixes: prefixes of tensors that speaking does without (discriminators): re-initialized where
            the initial weights have none, dropped where they are not used.
        init_weight_settings: settings that name initial weights, with the values that name none.
        training_defaults: values that replace the defaults of the sections `training` and `data` where a run starts
            from a checkpoint of amtts.
    """

    Methods: ClassVar[type] = NoMethods
    lora_targets: tuple[str, ...] = ()
    training_only_prefixes: tuple[str, ...] = ()
    init_weight_settings: Mapping[str, Any] = field(default_factory=dict)
    training_defaults: Mapping[str, Any] = field(default_factory=dict)
