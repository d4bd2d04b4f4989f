"""The contract between the core and a backend, on one screen.

A backend is a class found through the entry-point group `amtts.backends`. It declares itself in `spec`, owns
one network (or a few), says which tensors are indexed by text tokens, turns waveforms into the features it
learns from, and hands the trainer a `Learner`. It is language-blind: text reaches it as token ids. It never
prints and never reads the command line. How to add one: `backends/README.md`.

Shapes: B utterances, T samples, N text tokens, L frames, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from amtts_core.contract.tokenizer import Layout
from amtts_core.errors import AmttsError
from amtts_core.units import Hertz

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from amtts_core.contract.codec import SpeechCodec
    from amtts_core.contract.reference_check import ReferenceCheck
    from amtts_core.contract.tokenizer import TextTokenizer
    from amtts_core.contract.vocoder import MelFormat


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """What a backend is, readable without building it."""

    name: str
    summary: str
    sample_rate: Hertz
    learns_from: Literal["mel", "codes", "waveform"]
    config: type[BaseModel]
    presets: Mapping[str, Mapping[str, Any]]
    """Preset name -> values that replace the config's defaults. The first is the default preset."""
    tokenizers: tuple[str, ...] = ("fidel", "unigram", "bpe", "char")
    """Tokenizer kinds it accepts, the recommended one first; empty where it learns without text."""
    tokenizer_layout: Layout = "amtts"
    """File format and special ids of the tokenizers that `amtts tokenize --backend` trains: those of its published
    weights, where it has some."""
    training_defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values that replace the defaults of `TrainingConfig` for this backend."""
    adjustable: tuple[str, ...] = ()
    """Settings of the network that say how it learns or speaks and not what its weights mean (dropout, loss weights):
    `--resume --force` may change them. A section's name stands for all of it."""
    weights_licence: str = "none: trained from scratch"
    """Licence of the published weights it can start from."""
    lora_targets: tuple[str, ...] = ()
    """Layers that get adapters in LoRA training: ends of their names, or whole-name regular expressions."""
    speaker_rows: tuple[str, ...] = ()
    """Tensors whose first axis is indexed by speakers."""
    speaker_layers: tuple[str, ...] = ()
    """Parts of the names of tensors through which a speaker enters, and which a network of one voice lacks: at zero
    every speaker sounds like that voice, so a single voice can grow."""
    without_start: Mapping[str, Any] = field(default_factory=dict)
    """Settings that name weights to begin with, with the values that name none: for a network that gets its own."""
    only_for_training: tuple[str, ...] = ()
    """Prefixes of tensors that speaking does without, such as critics: weights to start from that were trained without
    them begin with fresh ones, and such that are no longer wanted are left behind."""
    rate: Callable[[Any], Hertz] | None = None
    """The sample rate that settings lead to, by a setting such as `mel.sample_rate` or by the codec that they name;
    None where it is always `sample_rate`."""
    conditioners: tuple[str, ...] = ()
    """Prefixes of the parameters that hear another clip of the speaker: they learn at `optim.rates.conditioners`."""

    def rate_of(self, config: Any) -> Hertz:
        """The rate at which a network with these settings hears and speaks.

        Raises:
            AmttsError: the settings name a codec that cannot be opened.
        """
        return int(self.rate(config) if self.rate else self.sample_rate)


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a backend learns from one utterance; computed once and stored.

    Attributes:
        arrays: name -> array (L, C) or (L,); lengths may differ between names.
    """

    arrays: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One utterance as `collate` sees it.

    Attributes:
        id: the manifest's id.
        tokens: text token ids, (N,).
        features: name -> array (L, C) or (L,), as `features` returned it.
        speaker: the manifest's speaker name, empty where there is none.
        prompt: what is heard of another clip of the speaker, see `amtts_core.data.clips`; empty without such.
    """

    id: str
    tokens: list[int]
    features: dict[str, np.ndarray]
    speaker: str = ""
    prompt: dict[str, np.ndarray] = field(default_factory=dict)


Batch = dict[str, Any]
"""Name -> tensor on the learner's device, plus `ids`, the list of utterance ids."""


@dataclass(frozen=True, kw_only=True)
class PhaseLoss:
    """The loss of one optimiser: `total` is differentiated, `terms` are logged as they are."""

    phase: str
    total: Tensor
    terms: dict[str, Tensor]


@runtime_checkable
class Learner(Protocol):
    """What the trainer drives: one optimiser per phase, losses yielded in the order the optimisers step.

    The trainer runs forward, backward and step of a phase before it asks `losses` for the next one, so a GAN
    yields its discriminator loss from a detached output, then its generator loss, and runs the generator once a
    batch.
    """

    phases: tuple[str, ...]
    modules: dict[str, nn.Module]
    """Trainable modules by name. The trainer may replace them by wrapped ones (DDP): call them through here."""

    def parameters(self, phase: str) -> list[nn.Parameter]:
        """Trainable parameters of `phase`; the phases' lists are disjoint."""
        ...

    def losses(self, batch: Batch) -> Iterator[PhaseLoss]:
        """Yields one loss per phase, in `phases` order."""
        ...

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Name -> (H, W) picture of the batch's first utterance (mel, alignment), for people to look at."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A backend that hands its speech over while it is still speaking."""

    def stream(self, request: SynthesisRequest) -> Iterator[np.ndarray]:
        """Waveforms (T,) whose join is what the request sounds like; what was handed over does not change."""
        ...


@runtime_checkable
class ShowsAttention(Protocol):
    """A backend whose speech looks for its place in the text."""

    def attention(self, request: SynthesisRequest) -> Tensor:
        """(text, speech) shares of attention while the request is spoken, from one layer; low rows are its start."""
        ...


class Reduction(Protocol):
    """What all processes of a run do with a tensor together, in place; alone it stays as it is."""

    def sum(self, tensor: Tensor) -> None:
        """The sum over all processes."""
        ...

    def maximum(self, tensor: Tensor) -> None:
        """The elementwise maximum over all processes."""
        ...


@runtime_checkable
class KeepsStatistics(Protocol):
    """A learner whose network also moves by what its batches look like (a codebook's running means).

    A forward pass only gathers; the network moves once a step, when all batches of all processes are in. So a step
    does not depend on how many processes share it, and a skipped step leaves no trace.
    """

    def begin_step(self) -> None:
        """Forgets what an unfinished step gathered, and gathers from now on."""
        ...

    def end_step(self, reduction: Reduction) -> None:
        """Moves the network; every process calls it, also one that had no batch."""
        ...


@dataclass(frozen=True, kw_only=True)
class SynthesisRequest:
    """One stretch of speech to make.

    Attributes:
        tokens: text token ids, not empty.
        speed: 1.0 is the voice's own pace, 2.0 twice as fast.
        seed: makes sampling reproducible; backends without sampling ignore it.
        speaker: a speaker name of the checkpoint, empty for its default.
    """

    tokens: Sequence[int]
    speed: float = 1.0
    seed: int = 0
    speaker: str = ""


@dataclass(frozen=True)
class TextRows:
    """One tensor of the network whose first axis is indexed by text-token ids.

    Attributes:
        tensor: its name in the network's state dict.
        kind: "embedding", "head" or "bias".
        extra: rows at the end that belong to no token.
    """

    tensor: str
    kind: Literal["embedding", "head", "bias"]
    extra: int = 0


@runtime_checkable
class Backend(Protocol):
    """A model family. Built by `build` (fresh) or `load` (from weights), never by its constructor."""

    spec: ClassVar[BackendSpec]
    config: Any
    """The instance of `spec.config` it was built with."""
    network: nn.Module
    """Everything that is saved in `model.safetensors`."""
    text_tokenizer: TextTokenizer | None

    @classmethod
    def build(cls, config: Any, *, tokenizer: TextTokenizer | None, speakers: Sequence[str] = ()) -> Backend:
        """A fresh network, initialised as published; every text-indexed size comes from `tokenizer`."""
        ...

    @classmethod
    def load(
        cls,
        config: Any,
        weights: Mapping[str, Tensor],
        *,
        tokenizer: TextTokenizer | None,
        speakers: Sequence[str] = (),
    ) -> Backend:
        """The network with `weights` loaded strictly.

        Raises:
            CheckpointError: a tensor is missing, unexpected or of another size; names it and both sizes.
        """
        ...

    def text_rows(self) -> tuple[TextRows, ...]:
        """Every tensor indexed by a text-token id; vocabulary surgery resizes exactly these."""
        ...

    def speech_codec(self) -> SpeechCodec | None:
        """The codec whose codes it learns; None where it learns from mels or waveforms."""
        ...

    @classmethod
    def features(cls, config: Any, waveform: np.ndarray) -> Features:
        """What it learns from one waveform, (T,) float32 in [-1, 1] at `spec.rate_of(config)`."""
        ...

    @classmethod
    def feature_key(cls, config: Any) -> str:
        """Changes whenever `features` would; names the cache of precomputed features."""
        ...

    def check_example(self, num_tokens: int, lengths: Mapping[str, int]) -> str:
        """Why an utterance of these lengths cannot be learned from, or an empty string."""
        ...

    def fit(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Takes corpus statistics (`<feature>_mean` and `_std`, each (C,)) before training from scratch."""
        ...

    def num_frames(self, lengths: Mapping[str, int]) -> int:
        """Cost of an utterance for batching, from its features' lengths."""
        ...

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Pads examples into tensors."""
        ...

    def learner(self) -> Learner:
        """The training view of this backend's network."""
        ...

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[np.ndarray]:
        """One waveform (T,) float32 in [-1, 1] at `spec.rate_of(config)` per request."""
        ...

    @classmethod
    def reference_checks(cls, folder: Path) -> list[ReferenceCheck]:
        """Compares this family's maths with a bundle of stored numbers.

        Raises:
            AmttsError: the bundle cannot be read, or the backend defines none.
        """
        ...

    def export(self, folder: Path, *, format: str) -> None:
        """Writes the network in a foreign format; an unknown one is an `AmttsError` naming the known ones."""
        ...


@runtime_checkable
class HasBlocks(Protocol):
    """A backend that says what its network is stacked from; without it some settings of the loop are refused."""

    def blocks(self) -> Sequence[nn.Module]:
        """Modules that training calls as modules and that hold most of the work: what is recomputed or compiled.

        Each is a function of its inputs and weights alone (dropout aside): it changes no buffer, and whether a
        parameter needs a gradient is the same in the forward and in the backward pass.
        """
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A backend that needs further files to speak, such as a vocoder's weights; its checkpoints hold copies."""

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


@runtime_checkable
class PredictsMels(Protocol):
    """A voice that predicts the mel of a recording whose text it knows."""

    @property
    def mel_format(self) -> MelFormat:
        """Of the mels."""
        ...

    def predict_mel(self, tokens: Sequence[int], waveform: np.ndarray, *, speaker: str) -> np.ndarray:
        """Natural-log mel (L, M) predicted for a waveform (T,), aligned with it.

        Raises:
            AmttsError: the recording is too short for its text.
        """
        ...


@runtime_checkable
class LearnsFromMels(Protocol):
    """A vocoder in training: its batches may hold `mel`, predicted, in place of the recordings' own."""

    takes_predicted_mels: ClassVar[Literal[True]]

    @property
    def mel_format(self) -> MelFormat:
        """Of the mels that it reads."""
        ...


@runtime_checkable
class ReadsBlocks(Protocol):
    """A backend whose learner also reads the weights of some blocks outside of their own forward pass."""

    def read_blocks(self) -> Sequence[nn.Module]:
        """These blocks, within a pass through the learner's modules; their weights have to stay there throughout."""
        ...


def required_tokenizer(tokenizer: TextTokenizer | None, *, backend: str) -> TextTokenizer:
    """The tokenizer of a backend that learns from text.

    Raises:
        AmttsError: there is none.
    """
    if tokenizer is None:
        raise AmttsError(
            f"backend '{backend}' learns from text and needs a tokenizer",
            remedy="Make one with: amtts tokenize --data DIR",
        )
    return tokenizer


def speaker_index(speaker: str, speakers: Sequence[str]) -> int:
    """Row of a speaker in a checkpoint's table; no name means the first.

    Raises:
        AmttsError: the checkpoint has no such speaker; names those it has.
    """
    if not speaker:
        return 0
    if speaker not in speakers:
        known = ", ".join(speakers) or "one voice without a name"
        raise AmttsError(f"unknown speaker '{speaker}'; this checkpoint knows: {known}")
    return list(speakers).index(speaker)


def device_of(network: nn.Module) -> torch.device:
    """The device of a network's first parameter."""
    return next(network.parameters()).device
