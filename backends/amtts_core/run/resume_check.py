"""What a checkpoint says about how it was made, and which of it a resumed run has to share."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from amtts_core.checkpoints.checkpoint import CheckpointInfo
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend, BackendSpec
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.data.dataset import SpeechDataset
from amtts_core.errors import CheckpointError
from amtts_core.finetune.init_weights import Origin, Start
from amtts_core.text.normalize import Normalizer

logger = logging.getLogger(__name__)


def describe(
    backend: Backend,
    config: RunConfig,
    tokenizer: TextTokenizer | None,
    normalizer: Normalizer,
    data: SpeechDataset,
    origin: Origin,
) -> CheckpointInfo:
    """What every checkpoint of a run says about itself, before the first step."""
    digest = hashlib.sha256()
    for utterance in data.utterances:
        digest.update(f"{utterance.id}|{utterance.duration}|{utterance.spoken_text()}\n".encode())
    return CheckpointInfo(
        backend=backend.spec.name,
        backend_config=config.model,
        training_type=config.training.type,
        freeze=config.training.freeze.model_dump(mode="json", exclude_defaults=True),
        new_tokens=list(origin.new_tokens),
        started_from=origin.source,
        sample_rate=backend.sample_rate,
        normalizer=normalizer.settings.model_dump(mode="json"),
        tokenizer_kind=tokenizer.kind if tokenizer else "",
        tokenizer_hash=tokenizer.fingerprint() if tokenizer else "",
        vocab_size=tokenizer.vocab_size if tokenizer else 0,
        untrained_tokens=_untrained(tokenizer, data),
        speakers=list(backend.speakers.names),
        speaker_embedding=backend.speakers.has_embedding,
        codec=_codec(backend),
        dataset_hash=digest.hexdigest(),
        base_weights_license=origin.license or _license(backend.spec, config),
        git_revision=_git_revision(),
        versions={
            name: importlib.metadata.version(name) for name in ("amtts", "torch", "numpy", "accelerate")
        },
    )


def _codec(backend: Backend[Any]) -> str:
    codes = backend.spec.speech_codes
    return str(codes.of(backend).codec_identity()) if codes else ""


def _license(spec: BackendSpec, config: RunConfig) -> str:
    """Of the weights that its settings let it start from; a network from scratch is free of any."""
    named = any(config.model.get(key) != none for key, none in spec.fine_tuning.init_weight_settings.items())
    return spec.weights_license if named else "none: trained from scratch"


def _untrained(tokenizer: TextTokenizer | None, data: SpeechDataset) -> list[int]:
    """Token ids that no training text holds, apart from the special ones."""
    if tokenizer is None:
        return []
    met = {token for tokens in data.tokens for token in tokens}
    met |= {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    return [token for token in range(tokenizer.vocab_size) if token not in met]


def _git_revision() -> str:
    """Revision of the amtts checkout this code runs from; empty for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


CONTRACT = (
    "backend",
    "backend_config",
    "codec",
    "training_type",
    "freeze",
    "tokenizer_hash",
    "vocab_size",
    "dataset_hash",
    "normalizer",
    "speakers",
)
"""Fields of `CheckpointInfo` that a resumed run shares with the one it goes on from."""


FORCEABLE = ("dataset_hash", "normalizer")
"""What `--force` may change besides `BackendSpec.mutable_settings`: other data and other reading of text teach the same
network on; ids, sizes and rows of the network would mean something else."""


_REMEDIES = {
    "tokenizer_hash": "Use the tokenizer it was started with",
    "vocab_size": "Use the tokenizer it was started with",
    "speakers": "Use the data it was started with",
    "backend": "Leave --backend out",
}


def check_contract(
    stored: CheckpointInfo,
    current: CheckpointInfo,
    folder: Path,
    *,
    names: Sequence[str] = CONTRACT,
    mutable: Sequence[str] = (),
    force: bool = False,
) -> list[str]:
    """Refuses to resume with other data, text or network than the run was started with.

    Args:
        stored: of the checkpoint.
        current: of what is there now.
        folder: of the checkpoint, for the message.
        names: fields that are compared.
        mutable: settings of the network that do not change what its weights mean.
        force: accept what is safe to change, and say what it was.

    Returns:
        The fields that were overridden.

    Raises:
        CheckpointError: names the first field that differs and may not, with both values.
    """
    safe = (*FORCEABLE, *(f"backend_config.{name}" for name in mutable))
    differences = [
        difference
        for name in names
        if name != "codec" or stored.codec  # checkpoints of 0.1 did not say
        for difference in _differences(name, getattr(stored, name), getattr(current, name))
    ]
    differences.sort(
        key=lambda difference: _is_within(difference[0], safe)
    )  # what cannot be mended comes first
    for name, before, now in differences:
        forceable = _is_within(name, safe)
        if not (force and forceable):
            raise CheckpointError(
                f"cannot resume from {folder}: {name} was {_short(before)}, is now {_short(now)}",
                remedy="Go on all the same with --force, or use what it was started with"
                if forceable
                else f"{_REMEDIES.get(name, 'Leave that setting as it was')}, or start a new run"
                + (" (--force cannot override this)" if force else ""),
            )
        logger.warning("--force: %s was %s, is now %s", name, _short(before), _short(now))
    return [name for name, _, _ in differences]


ENDS = ("training.max_steps", "training.max_epochs")


def tell_settings(stored: RunConfig, current: RunConfig) -> None:
    """Says which settings of data and loop a resumed run changes, apart from where it ends."""
    for part in ("data", "training"):
        before, now = (getattr(config, part).model_dump(mode="json") for config in (stored, current))
        for name, old, new in _differences(part, before, now):
            if name not in ENDS:
                logger.warning("%s was %s, is now %s", name, _short(old), _short(new))


def with_new_settings(stored: CheckpointInfo, kind: type[Backend]) -> CheckpointInfo:
    """The description of an older checkpoint with the settings that it did not know, at their defaults."""
    try:
        settings = kind.spec.config.model_validate(stored.backend_config).model_dump(mode="json")
    except ValidationError:  # told as a difference
        return stored
    return stored.model_copy(update={"backend_config": settings})


def _differences(name: str, before: object, now: object) -> Iterator[tuple[str, object, object]]:
    """Dotted name, stored and present value of everything that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _differences(f"{name}.{key}", before.get(key), now.get(key))
    elif before != now:
        yield name, before, now


def _is_within(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def tell_normalizer(start: Start, info: CheckpointInfo) -> None:
    """Says where the corpus' text was normalised otherwise than that of the weights it starts from."""
    for key, before in start.normalizer.items():
        if key in info.normalizer and info.normalizer[key] != before:
            logger.warning(
                "normalizer.%s was %s for %s, is %s for this corpus",
                key,
                _short(before),
                start.source,
                _short(info.normalizer[key]),
            )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:40] + "…"
