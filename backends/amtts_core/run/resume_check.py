"""What a resumed run has to share with the run it continues, and what it may change."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from amtts_core.checkpoints.checkpoint import Checkpoint, CheckpointInfo
from amtts_core.config.run_config import RunConfig
from amtts_core.contract.backend import Backend
from amtts_core.errors import CheckpointError
from amtts_core.finetune.init_weights import InitWeights
from amtts_core.run.data_index import DataChanges

logger = logging.getLogger(__name__)


CONTRACT = (
    "backend",
    "backend_config",
    "codec",
    "training_type",
    "freeze",
    "tokenizer_hash",
    "vocab_size",
    "normalizer",
    "speakers",
)
"""Fields of `CheckpointInfo` that a resumed run shares with the run it continues; its data is compared later."""


FORCEABLE = ("dataset_hash", "normalizer")
"""What `--force` may change besides `BackendSpec.mutable_settings`: a network can be trained on other data and text.
Ids, sizes and rows of the network would mean something else."""


_REMEDIES = {
    "tokenizer_hash": "Use the tokenizer it was started with",
    "vocab_size": "Use the tokenizer it was started with",
    "speakers": "Use the data it was started with, add voices with a new run of `amtts train --from RUN`",
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
    """Refuses to resume with other data, text or network than those of the run.

    Args:
        stored: of the checkpoint.
        current: of what is there now.
        folder: of the checkpoint, for the message.
        names: fields that are compared.
        mutable: settings of the network that do not change what its weights mean.
        force: accept what is safe to change, and log it.

    Returns:
        The fields that were overridden.

    Raises:
        CheckpointError: names the first field that differs and may not, with both values.
    """
    safe = (*FORCEABLE, *(f"backend_config.{name}" for name in mutable))
    differences = [
        difference
        for name in names
        if name != "codec" or stored.codec  # checkpoints of 0.1 lack it
        for difference in _differences(name, getattr(stored, name), getattr(current, name))
    ]
    differences.sort(
        key=lambda difference: _is_within(difference[0], safe)
    )  # what --force cannot override comes first
    for name, before, now in differences:
        forceable = _is_within(name, safe)
        if not (force and forceable):
            raise CheckpointError(
                f"cannot resume from {folder}: {name} was {_short(before)}, is now {_short(now)}",
                remedy="Continue anyway with --force, or use what it was started with"
                if forceable
                else f"{_REMEDIES.get(name, 'Leave that setting as it was')}, or start a new run"
                + (" (--force cannot override this)" if force else ""),
            )
        logger.warning("--force: %s was %s, is now %s", name, _short(before), _short(now))
    return [name for name, _, _ in differences]


def check_data(
    previous: Checkpoint, current: CheckpointInfo, changes: DataChanges | None, *, force: bool
) -> bool:
    """Refuses to resume with other texts or utterances, and logs audio that changed.

    Args:
        previous: checkpoint that is resumed.
        current: description of the run, with its data.
        changes: of the utterances; None where the run holds no index of them.
        force: accept the change, and log it.

    Returns:
        False where texts or utterances changed.

    Raises:
        CheckpointError: they changed, and `force` is not given.
    """
    if previous.info.dataset_hash == current.dataset_hash:
        if changes is not None and changes.audio:
            logger.warning("training data since the run began: %s", changes)
        return True
    what = str(changes) if changes is not None else ""
    if not what:  # replayed data, or an index that is gone
        before, now = previous.info.dataset_hash, current.dataset_hash
        what = f"dataset_hash was {_short(before)}, is now {_short(now)}"
    if not force:
        raise CheckpointError(
            f"cannot resume from {previous.folder}: the training data changed: {what}",
            remedy="Continue anyway with --force, or use the data it was started with",
        )
    logger.warning("--force: the training data changed: %s", what)
    return False


ENDS = ("training.max_steps", "training.max_epochs")


def report_settings(stored: RunConfig, current: RunConfig) -> None:
    """Logs the settings of data and loop that a resumed run changes, apart from where it ends."""
    for part in ("data", "training"):
        before, now = (getattr(config, part).model_dump(mode="json") for config in (stored, current))
        for name, old, new in _differences(part, before, now):
            if name not in ENDS:
                logger.warning("%s was %s, is now %s", name, _short(old), _short(new))


def with_new_settings(stored: CheckpointInfo, kind: type[Backend]) -> CheckpointInfo:
    """The description of an older checkpoint with the settings that are new since then, at their defaults."""
    try:
        settings = kind.spec.config.model_validate(stored.backend_config).model_dump(mode="json")
    except ValidationError:  # then it is a difference
        return stored
    return stored.model_copy(update={"backend_config": settings})


def same_codec(stored: CheckpointInfo, current: CheckpointInfo, kind: type[Backend]) -> CheckpointInfo:
    """The stored description with today's path of the codec, where that is the same codec by its hash."""
    codes = kind.spec.speech_codes
    if codes is None or not stored.codec or stored.codec != current.codec:
        return stored
    name = codes.path_setting
    before, now = stored.backend_config.get(name), current.backend_config.get(name)
    if before == now:
        return stored
    logger.info("model.%s was %s, is now %s: the same codec, by its hash", name, _short(before), _short(now))
    return stored.model_copy(update={"backend_config": {**stored.backend_config, name: now}})


def _differences(name: str, before: object, now: object) -> Iterator[tuple[str, object, object]]:
    """Dotted name, stored and present value of everything that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _differences(f"{name}.{key}", before.get(key), now.get(key))
    elif before != now:
        yield name, before, now


def _is_within(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def report_normalizer(start: InitWeights, info: CheckpointInfo) -> None:
    """Logs settings of text normalization that differ between the corpus and the initial weights."""
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
