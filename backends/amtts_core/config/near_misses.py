"""Which setting somebody meant by a key that does not exist: names of other trainers, and keys of another section."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from amtts_core.settings import UNKNOWN_KEY

OTHER_NAMES = {
    "training.optim.learning_rate": ("lr", "base_lr", "peak_lr", "rate"),
    "training.optim.warmup_steps": ("warmup", "num_warmup_steps", "warmup_updates"),
    "training.optim.weight_decay": ("wd", "l2"),
    "training.optim.clip_norm": (
        "grad_clip",
        "max_grad_norm",
        "gradient_clip_val",
        "clip_grad_norm",
        "grad_clip_norm",
    ),
    "training.optim.schedule": ("scheduler", "lr_scheduler", "lr_scheduler_type", "lr_schedule"),
    "training.max_steps": ("steps", "num_steps", "total_steps", "max_updates", "iterations", "max_iters"),
    "training.max_epochs": ("epochs", "num_epochs", "epoch", "num_train_epochs", "n_epochs"),
    "training.accumulate": (
        "grad_accum",
        "gradient_accumulation_steps",
        "accumulate_grad_batches",
        "grad_accumulation",
    ),
    "training.precision": ("bf16", "fp16", "mixed_precision", "amp", "dtype"),
    "training.save_every": ("save_steps", "save_interval", "checkpoint_every", "save_frequency"),
    "training.validate_every": (
        "eval_steps",
        "val_every",
        "eval_every",
        "eval_interval",
        "val_check_interval",
    ),
    "training.log_every": ("logging_steps", "log_interval", "log_step"),
    "training.keep": ("save_total_limit", "keep_checkpoints", "max_checkpoints", "keep_last"),
    "training.patience": ("early_stopping", "early_stopping_patience"),
    "training.ema_decay": ("ema", "use_ema"),
    "training.seed": ("random_seed",),
    "training.sample_texts": ("test_sentences", "sample_sentences", "test_texts"),
    "data.batch_seconds": (
        "batch_size",
        "batch_frames",
        "train_batch_size",
        "per_device_train_batch_size",
        "max_frames",
    ),
    "data.max_samples": ("max_train_samples", "num_samples"),
}
"""Key of amtts -> its names elsewhere (Hugging Face, Lightning, Coqui, fairseq, Piper)."""
CLOSE = 0.75


def with_hints(faults: Sequence[str], sections: Sequence[tuple[str, type[BaseModel]]]) -> list[str]:
    """The faults, with a better guess for keys that are unknown where they stand.

    Args:
        faults: as `faults_of` words them.
        sections: prefix -> class of everything that can be set.
    """
    keys = [key for prefix, section in sections for key in leaves(section, prefix)]
    return [_hinted(fault, keys) for fault in faults]


def leaves(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings of a section, and of the sections below it."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield prefix + name
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def _hinted(fault: str, keys: Sequence[str]) -> str:
    key, _, rest = fault.partition(": ")
    if not rest.startswith(UNKNOWN_KEY):
        return fault
    name, beside = key.rpartition(".")[2].lower(), re.search("did you mean '(.*)'", rest)
    guess = _by_other_name(name, keys)
    if not guess and beside and difflib.SequenceMatcher(None, name, beside[1]).ratio() >= CLOSE:
        return fault  # a typing error, told with the key beside it
    guess = guess or _elsewhere(key, name, keys)
    return f"{key}: {UNKNOWN_KEY} (did you mean '{guess}'?)" if guess else fault


def _by_other_name(name: str, keys: Sequence[str]) -> str:
    return next((ours for ours, others in OTHER_NAMES.items() if name in others and ours in keys), "")


def _elsewhere(key: str, name: str, keys: Sequence[str]) -> str:
    """The full name of a key of another section with this name, or a close one; empty where there is none."""
    ends = {ours: ours.rpartition(".")[2] for ours in keys}
    names = [name] if name in ends.values() else difflib.get_close_matches(name, ends.values(), 1, CLOSE)
    same = [ours for ours, end in ends.items() if end in names]
    return min(same, key=lambda ours: (not ours.endswith("." + key), ours.count(".")), default="")
