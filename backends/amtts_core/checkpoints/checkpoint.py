"""Checkpoints: self-contained folders, written atomically, verified by checksum, loaded strictly.

A checkpoint folder holds
    checkpoint.json       what it is (`CheckpointInfo`)
    model.safetensors     the backend's network
    vocoder/              what it speaks through, where that has weights
    tokenizer/            as `amtts tokenize` wrote it (absent where the backend uses no text)
    training.json, training.safetensors   optimizers, schedule, position, random state (absent in exports)
    files.json            size and sha256 of every other file
Which of them a run or a path means is the business of `checkpoint_folders`.
Nothing here executes code on load.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amtts_core.checkpoints.folders import checkpoints_of as checkpoints_of
from amtts_core.checkpoints.folders import damage, find_checkpoint, unwritten
from amtts_core.checkpoints.folders import write_pointer as write_pointer
from amtts_core.contract.speakers import SpeakerTable
from amtts_core.errors import CheckpointError, ConfigError
from amtts_core.storage.checksums import flush, seal
from amtts_core.storage.state_tree import flatten, unflatten

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.contract.backend import Backend
    from amtts_core.contract.tokenizer import TextTokenizer
    from amtts_core.text.normalizer import Normalizer

FORMAT = 1


class CheckpointInfo(BaseModel):
    """What a checkpoint is and where it comes from."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    format: int = FORMAT
    backend: str
    backend_config: dict[str, Any]
    sample_rate: int
    training_type: str = "full"
    lora: dict[str, Any] = Field(default_factory=dict)
    """What `vocab.lora.merge_stored` needs; empty where the weights hold no adapters."""
    freeze: dict[str, Any] = Field(default_factory=dict)
    """`training.freeze` of the run."""
    began_fresh: list[str] = Field(default_factory=list)
    """Parameters missing from the initial weights; randomly initialized, always trainable."""
    new_tokens: list[int] = Field(default_factory=list)
    """Token ids that `amtts extend-vocab` added to the vocabulary this voice started from."""
    started_from: str = ""
    """The weights its run started from; empty where it began from scratch."""
    step: int = 0
    epoch: int = 0
    metrics: dict[str, float] = Field(default_factory=dict)
    normalizer: dict[str, Any] = Field(default_factory=dict)
    tokenizer_kind: str = ""
    tokenizer_hash: str = ""
    vocab_size: int = 0
    untrained_tokens: list[int] = Field(default_factory=list)
    """Token ids that occurred nowhere in the training text: their rows are still random."""
    speakers: list[str] = Field(default_factory=list)
    speaker_embedding: bool = False
    """A single voice has a row in the network's speaker tables, see `SpeakerTable.has_embedding`."""
    codec: str = ""
    """The codec whose codes it was trained on, see `CodecIdentity`; empty where it predicts none."""
    dataset_hash: str = ""
    base_weights_license: str = ""
    data_licenses: list[str] = Field(default_factory=list)
    """Licenses of the recordings it was trained with, as their corpus states them."""
    consent_notes: list[str] = Field(default_factory=list)
    """How their speakers agreed to the use of their voices."""
    git_revision: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk."""

    folder: Path
    info: CheckpointInfo

    def weights(self) -> dict[str, Tensor]:
        """The network's tensors, on the CPU; LoRA adapters are merged into their layers."""
        stored = self.stored_weights()
        if not self.info.lora:
            return stored
        from amtts_core.nn.lora import merge_stored

        return merge_stored(stored, self.info.lora)

    def stored_weights(self) -> dict[str, Tensor]:
        """The tensors as training left them: with adapters, layers and adapters apart."""
        return _tensors(self.folder / "model.safetensors")

    def tokenizer(self) -> TextTokenizer | None:
        """The tokenizer it was trained with; its hash is checked."""
        if not self.info.tokenizer_kind:
            return None
        from amtts_core.tokenizers.factory import load_tokenizer

        tokenizer = load_tokenizer(self.folder / "tokenizer")
        if tokenizer.vocab_size != self.info.vocab_size:
            raise CheckpointError(
                f"checkpoint {self.folder}: its tokenizer has {tokenizer.vocab_size} symbols, "
                f"the weights were trained with {self.info.vocab_size}"
            )
        if tokenizer.fingerprint() != self.info.tokenizer_hash:
            raise CheckpointError(
                f"checkpoint {self.folder}: its tokenizer has hash {tokenizer.fingerprint()[:12]}, "
                f"the weights were trained with {self.info.tokenizer_hash[:12]}"
            )
        return tokenizer

    def normalizer(self) -> Normalizer:
        """The text normalizer it was trained with."""
        from amtts_core.text.normalizer import Normalizer, NormalizerSettings

        try:
            settings = NormalizerSettings.model_validate(self.info.normalizer)
        except ValidationError as error:
            fault = error.errors()[0]
            raise CheckpointError(
                f"checkpoint {self.folder}: this amtts cannot read its normalizer settings: "
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}",
                remedy="Update amtts",
            ) from None
        return Normalizer(settings)

    def load_backend(self, settings: Mapping[str, Any] | None = None) -> Backend:
        """The backend with these weights, in evaluation mode on the CPU.

        Args:
            settings: of the network, in place of stored ones; see `BackendSpec.mutable_settings`.

        Raises:
            CheckpointError: the stored settings or weights do not fit.
            ConfigError: one of `settings` may not change, or its value is wrong.
        """
        from amtts_core.contract.registry import get_backend
        from amtts_core.nn.undrawn import Undrawn

        kind = get_backend(self.info.backend)
        try:
            config = kind.spec.config.model_validate(self.info.backend_config)
        except ValidationError as error:
            fault = error.errors()[0]
            raise CheckpointError(
                f"checkpoint {self.folder}: its network settings do not fit backend '{self.info.backend}': "
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            ) from None
        if settings:
            config = _adjusted(config, settings, kind)
        speakers = SpeakerTable.of(self.info.speakers, has_embedding=self.info.speaker_embedding)
        tokenizer = self.tokenizer()
        with Undrawn():
            backend = kind(config, tokenizer=tokenizer, speakers=speakers)
        backend.untrained_tokens = frozenset(self.info.untrained_tokens)
        load_strict(backend.network, self.weights(), backend=kind.spec.name)
        backend.network.eval()
        if (files := kind.spec.checkpoint_files) is not None:
            files.of(backend).read_files(self.folder, changed=settings or ())
        return backend

    def training_state(self) -> Any:
        """The nested training state, tensors included.

        Raises:
            CheckpointError: it holds none (an export).
        """
        if not (self.folder / "training.json").exists():
            raise CheckpointError(
                f"checkpoint {self.folder} holds no training state, so it cannot be resumed",
                remedy="Start a new run from it instead: amtts train --from DIR",
            )
        try:
            tree = json.loads((self.folder / "training.json").read_text(encoding="utf-8"))
            return unflatten(tree, self.training_tensors())
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"checkpoint {self.folder}: training.json cannot be read ({type(error).__name__}: {error})"
            ) from None

    def training_tensors(self) -> dict[str, Tensor]:
        """The tensors of the training state by their names in the file."""
        return _tensors(self.folder / "training.safetensors")


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is no safetensors file ({error})") from None


def _leaves(settings: Mapping[str, Any], allowed: Collection[str], prefix: str = "") -> Iterator[str]:
    """Dotted names of settings; a section of which only some may change is taken apart."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        taken_apart = any(other.startswith(f"{name}.") for other in allowed)
        if taken_apart and isinstance(value, Mapping) and name not in allowed:
            yield from _leaves(value, allowed, f"{name}.")
        else:
            yield name


def _adjusted(config: Any, settings: Mapping[str, Any], kind: type[Backend]) -> Any:
    """The settings of a network with some of them changed that its weights do not depend on."""
    from amtts_core.settings import faults_of, merged

    allowed = kind.spec.mutable_settings
    for name in _leaves(settings, allowed):
        if name not in allowed and name.split(".")[0] in kind.spec.config.model_fields:
            raise ConfigError(
                f"model.{name} of a trained '{kind.spec.name}' cannot be set; what can: {', '.join(allowed)}"
            )
    values = merged(config.model_dump(mode="json"), dict(settings))
    if faults := list(faults_of(kind.spec.config, values, prefix="model.")):
        raise ConfigError(
            "; ".join(faults), remedy=f"Settings and their values: amtts config --backend {kind.spec.name}"
        )
    return kind.spec.config.model_validate(values)


def write_checkpoint(
    folder: Path,
    info: CheckpointInfo,
    weights: Mapping[str, Tensor],
    *,
    tokenizer: TextTokenizer | None,
    training_state: Any = None,
    documents: Mapping[str, str] | None = None,
    files: Callable[[Path], None] | None = None,
) -> None:
    """Writes a checkpoint folder so that it is either complete or absent.

    Everything goes into a temporary folder beside it, is checksummed and flushed to disk, then renamed. `documents` are
    texts to keep with it, by file name; `files` puts further files into the folder it is given.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; older checkpoints are untouched.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in weights.items()}, temporary / "model.safetensors"
        )
        if tokenizer is not None:
            tokenizer.save(temporary / "tokenizer")
        if training_state is not None:
            tensors: dict[str, Tensor] = {}
            tree = flatten(training_state, tensors)
            save_file(tensors, temporary / "training.safetensors")
            _write_text(temporary / "training.json", json.dumps(tree))
        if files is not None:
            files(temporary)
        for name, text in (documents or {}).items():
            _write_text(temporary / name, text)
        _write_text(temporary / "checkpoint.json", info.model_dump_json(indent=1))
        seal(temporary)
        replaced = folder.with_name(f".{folder.name}.old")
        if folder.exists():  # saved twice at one step, e.g. on stop
            shutil.rmtree(replaced, ignore_errors=True)
            folder.rename(replaced)
        temporary.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
        flush(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise unwritten(folder, error) from error


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def read_checkpoint(path: Path, *, prefer: str = "best") -> Checkpoint:
    """Finds and verifies a checkpoint.

    Args:
        path: a checkpoint folder or a run folder.
        prefer: which of a run's checkpoints, "best" or "latest".

    Raises:
        CheckpointError: missing, damaged, or of a newer format.
    """
    folder = find_checkpoint(path, prefer=prefer)
    wrong = damage(folder, resumable=False)
    if wrong:
        raise CheckpointError(
            f"checkpoint {folder} is damaged: {wrong}", remedy=f"Use another one in {folder.parent}"
        )
    try:
        values = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
        number = values.get("format") if isinstance(values, dict) else None
        if isinstance(number, int) and number > FORMAT:  # before the fields, which a newer format may add to
            raise CheckpointError(
                f"checkpoint {folder} has format {number}, this amtts reads up to {FORMAT}",
                remedy="Update amtts",
            )
        return Checkpoint(folder, CheckpointInfo.model_validate(values))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise CheckpointError(f"checkpoint {folder}: checkpoint.json: {where}: {fault['msg']}") from None
    except ValueError as error:
        raise CheckpointError(f"checkpoint {folder}: checkpoint.json is not JSON ({error})") from None


def load_strict(network: Any, weights: Mapping[str, Tensor], *, backend: str) -> None:
    """Loads weights into a network, naming the first tensor that does not fit.

    Raises:
        CheckpointError: a tensor is missing, unexpected or of another shape.
    """
    own = network.state_dict()
    for name, tensor in own.items():
        if name not in weights:
            raise CheckpointError(f"weights for backend '{backend}' lack the tensor '{name}'")
        if tuple(weights[name].shape) != tuple(tensor.shape):
            raise CheckpointError(
                f"tensor '{name}' has shape {list(weights[name].shape)} in the weights, "
                f"backend '{backend}' expects {list(tensor.shape)}"
            )
    extra = sorted(set(weights) - set(own))
    if extra:
        raise CheckpointError(f"weights hold a tensor that backend '{backend}' does not know: '{extra[0]}'")
    network.load_state_dict(dict(weights), strict=True)
