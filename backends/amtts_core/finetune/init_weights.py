"""What a run starts from, besides nothing: a checkpoint of amtts, or what `amtts extend-vocab` made.

Tokenizer, network sizes, new rows and the license come along. Published weights are opened by the backend's
`PublishedFormat`; everything else here is the same for all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_core.audio.mel_vocoder import FOLDER as VOCODER_COPY
from amtts_core.checkpoints.checkpoint import Checkpoint, CheckpointInfo, load_strict, read_checkpoint
from amtts_core.checkpoints.shipped import shipped_checkpoint
from amtts_core.contract.published import PublishedFormat
from amtts_core.contract.registry import get_backend
from amtts_core.contract.speakers import SpeakerTable
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.finetune.speakers import speakers_of_checkpoint, weights_for_speakers
from amtts_core.finetune.vocab.published import num_text_tokens
from amtts_core.finetune.vocab.text_rows import extend_remedy
from amtts_core.finetune.vocab.weights_file import find_weights, read_weights
from amtts_core.finetune.weight_paths import located
from amtts_core.settings import merged
from amtts_core.storage.foreign_weights import kind_of_file
from amtts_core.storage.peft_adapter import is_adapter, with_adapter
from amtts_core.tokenizers.factory import load_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from amtts_core.contract.backend import Backend

logger = logging.getLogger(__name__)
REPORT = "vocab_report.json"


@dataclass(frozen=True, kw_only=True)
class InitWeights:
    """Weights to start from.

    Attributes:
        backend: name of the backend they are for.
        source: where they are.
        model: network settings that they fix.
        tokenizer: what they read text with; None where they learn without text.
        new_tokens: ids whose rows `amtts extend-vocab` made.
        license: of the weights below.
        normalizer: how their text was normalized; empty where that is not known.
        statistics: they bring the corpus statistics that `Backend.initialize` would set.
        speakers: of these weights.
        fill: puts them into a freshly built backend; as `PublishedWeights.load_into`.
        training_defaults: what replaces the defaults of the sections `training` and `data`.
    """

    backend: str
    source: Path
    model: dict[str, Any]
    tokenizer: TextTokenizer | None
    new_tokens: tuple[int, ...]
    license: str
    normalizer: dict[str, Any]
    statistics: bool
    speakers: SpeakerTable
    fill: Callable[[Backend], Sequence[str]]
    training_defaults: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """What a run that starts from them takes for settings that its user leaves out."""
        return merged({"backend": self.backend, "model": self.model}, self.training_defaults)


@dataclass(frozen=True)
class Provenance:
    """What a run inherits from the weights it started with, now or before it was interrupted."""

    source: str = ""
    new_tokens: tuple[int, ...] = ()
    license: str = ""
    tokenizer: TextTokenizer | None = None
    own_weights: bool = False
    """The network gets all its weights from a checkpoint of amtts."""

    @classmethod
    def of(cls, start: InitWeights | None, previous: Checkpoint | None) -> Provenance:
        if previous is not None:
            info = previous.info
            # Only what came with a start: data/tokenizer may have changed, which the contract has to notice.
            kept = previous.tokenizer() if info.started_from else None
            return cls(
                info.started_from, tuple(info.new_tokens), info.base_weights_license, kept, own_weights=True
            )
        if start is None:
            return cls()
        return cls(
            str(start.source), start.new_tokens, start.license, start.tokenizer, own_weights=start.statistics
        )


def open_init_weights(path: Path, *, backend: str = "", tokenizer: Path | None = None) -> InitWeights:
    """What can be started from at `path`.

    Args:
        path: checkpoint or run folder of amtts, folder of `amtts extend-vocab`, or published weights.
        backend: what the user wants to train; empty takes what the folder says.
        tokenizer: what the user takes for its tokenizer; None takes the one beside the weights.

    Raises:
        AmttsError: nothing of the kind, damaged, of another backend, or with another tokenizer.
    """
    path = located(shipped_checkpoint(path) or path, option="--from")
    if path.is_dir() and ((path / "checkpoint.json").is_file() or (path / "checkpoints").is_dir()):
        return _own(read_checkpoint(path), backend, tokenizer)
    return _published(path, backend, tokenizer)


def _own(checkpoint: Checkpoint, backend: str, tokenizer: Path | None) -> InitWeights:
    info = checkpoint.info
    _check_backend(checkpoint.folder, info.backend, backend)
    stored = checkpoint.tokenizer()
    if stored is not None:
        _check_tokenizer(checkpoint.folder, stored, tokenizer)

    def fill(target: Backend) -> Sequence[str]:
        weights = _with_training_only(target, weights_for_speakers(target, checkpoint), checkpoint.folder)
        try:
            load_strict(target.network, weights, backend=info.backend)
        except CheckpointError as fault:
            raise CheckpointError(fault.message, remedy=fault.remedy or _differing(target, info)) from None
        return _new_speaker_parameters(target, info.speakers)

    return InitWeights(
        backend=info.backend,
        source=checkpoint.folder,
        model=_with_own_vocoder(checkpoint),
        tokenizer=stored,
        new_tokens=tuple(info.new_tokens),
        license=info.base_weights_license,
        normalizer=info.normalizer,
        statistics=True,
        speakers=speakers_of_checkpoint(info),
        fill=fill,
        training_defaults=get_backend(info.backend).spec.fine_tuning.training_defaults,
    )


def _with_own_vocoder(checkpoint: Checkpoint) -> dict[str, Any]:
    """The network's settings; a vocoder that the checkpoint holds a copy of is that copy, wherever it once was."""
    settings, copy = checkpoint.info.backend_config, checkpoint.folder / VOCODER_COPY
    return {**settings, "vocoder": str(copy)} if settings.get("vocoder") and copy.is_dir() else settings


def _new_speaker_parameters(target: Backend[Any], before: Sequence[str]) -> tuple[str, ...]:
    """The parameters through which speakers enter, where there are new ones: frozen they would all sound alike."""
    conditioning = target.spec.speakers
    if conditioning is None or set(target.speakers.names) <= set(before):
        return ()
    return tuple(
        name
        for name, _ in target.network.named_parameters()
        if name in conditioning.tables or any(part in name for part in conditioning.layers)
    )


def _differing(target: Backend, info: CheckpointInfo) -> str:
    """What to leave out, where settings of the network are not those of the checkpoint."""
    now = target.config.model_dump(mode="json")
    names = [
        f"model.{name}"
        for name, before in info.backend_config.items()
        if name in now and now[name] != before and name not in target.spec.mutable_settings
    ]
    return f"The weights were made with other settings: leave {', '.join(names)} out" if names else ""


def _with_training_only(target: Backend, weights: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    """The weights with fresh tensors for what only training needs and they lack, without what is wanted no more."""
    prefixes = target.spec.fine_tuning.training_only_prefixes
    if not prefixes:
        return weights
    own = target.network.state_dict()
    fresh = [name for name in own if name not in weights and name.startswith(prefixes)]
    left = [name for name in weights if name not in own and name.startswith(prefixes)]
    for names, meaning in ((fresh, "has not; they start fresh"), (left, "has and this run does not use")):
        if names:
            logger.warning("%d tensors that %s %s: %s ...", len(names), source, meaning, names[0])
    return {k: v for k, v in weights.items() if k not in left} | {name: own[name] for name in fresh}


def _published(path: Path, backend: str, tokenizer: Path | None) -> InitWeights:
    report = _report(path)
    name = str(report.get("backend") or backend)
    _check_backend(path, name, backend)
    if path.is_file() and (kind := kind_of_file(path)):
        raise AmttsError(f"--from {path}: this is {kind}", remedy="Give trained weights or a run of amtts")
    if not name:
        raise AmttsError(
            f"--from {path} is no checkpoint of amtts and holds no {REPORT}",
            remedy="Make it ready with `amtts extend-vocab`, or name its family with --backend",
        )
    published = get_backend(name).spec.published
    if published is None:
        raise AmttsError(
            f"--from {path}: backend '{name}' cannot start from published weights",
            remedy="Train from scratch",
        )
    beside, text = path / "tokenizer", None
    if report:
        text = load_tokenizer(beside)
        _check_tokenizer(path, text, tokenizer)
        if text.fingerprint() != report.get("tokenizer_fingerprint", text.fingerprint()):
            raise CheckpointError(
                f"{beside} has hash {text.fingerprint()[:12]}, {REPORT} says "
                f"{report['tokenizer_fingerprint'][:12]}",
                remedy="Extend the vocabulary again",
            )
    elif get_backend(name).spec.text is None:
        text = None  # it learns without text
    elif tokenizer is not None or (is_adapter(path) and beside.is_dir()):
        from amtts_core.tokenizers.published.open import open_any_tokenizer

        text = open_any_tokenizer(tokenizer or beside, prefer=published.tokenizer)
    else:
        raise _without_vocabulary(path, published)
    start = published.open_weights(path)
    return InitWeights(
        backend=name,
        source=path,
        model=start.model,
        tokenizer=text,
        new_tokens=tuple(sorted(report.get("new_tokens", {}).values())),
        license=published.license,
        normalizer={},
        statistics=False,
        speakers=SpeakerTable(),
        fill=start.load_into,
    )


def _without_vocabulary(path: Path, published: PublishedFormat) -> AmttsError:
    """What to do about weights without a tokenizer; nothing is advised for those of another model.

    Raises:
        AmttsError: they are of another model, or cannot be read.
    """
    missing = f"--from {path}: published weights without their vocabulary"
    if not published.is_extendable:
        return AmttsError(missing, remedy="Name their tokenizer with --tokenizer")
    weights = read_weights(find_weights(path, published), landmark=published.landmark)
    num_text_tokens(with_adapter(path, weights.tensors), published)
    return AmttsError(missing, remedy=extend_remedy(published, path))


def _report(path: Path) -> dict[str, Any]:
    file = path / REPORT
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError) as fault:
        raise CheckpointError(f"{file} cannot be read ({fault})") from None


def _check_backend(path: Path, found: str, wanted: str) -> None:
    if wanted and found and wanted != found:
        raise CheckpointError(
            f"--from {path} is of backend '{found}', not '{wanted}'", remedy="Leave --backend out"
        )


def _check_tokenizer(path: Path, own: TextTokenizer, given: Path | None) -> None:
    if given is None:
        return
    other = load_tokenizer(given)
    if other.fingerprint() != own.fingerprint():
        raise CheckpointError(
            f"tokenizer {given} has {other.vocab_size} symbols and hash {other.fingerprint()[:12]}, the one of "
            f"{path} {own.vocab_size} and {own.fingerprint()[:12]}",
            remedy="Leave --tokenizer out, or change the vocabulary with `amtts extend-vocab`",
        )
