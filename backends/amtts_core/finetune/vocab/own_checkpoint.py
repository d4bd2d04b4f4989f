"""Extends a checkpoint of amtts: of any backend that declares text tensors, with the tokenizer stored in it.

The same rules as for published files: an embedding follows its token, nothing is put in place before it is checked. The
training state is not copied: the optimizer's moments have the old sizes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.checkpoints.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    load_strict,
    read_checkpoint,
    write_checkpoint,
)
from amtts_core.contract.backend import Backend
from amtts_core.contract.registry import get_backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.tokenizer_format import Addition
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.finetune.vocab import report
from amtts_core.finetune.vocab.compare import Comparison, check_tables, compare_backends
from amtts_core.finetune.vocab.initialize import Init, choose_sources
from amtts_core.finetune.vocab.old_text import encode_both, sample_texts
from amtts_core.finetune.vocab.plan import TokenPlan, plan_tokens
from amtts_core.finetune.vocab.resize import resize_text_tensor
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.published.additions import read_addition
from amtts_core.tokenizers.published.mapping import tokenizer_file
from amtts_core.tokenizers.registry import tokenizer_module

_PROBED = 3  # texts that go through both networks; each may be spoken
_SHORT = 40  # tokens of such a text


def is_own(path: Path) -> bool:
    """True for a checkpoint or a run folder of amtts."""
    return (path / "checkpoint.json").is_file() or (path / "checkpoints").is_dir()


def extend_own(
    path: Path, *, backend: str, tokenizer: Path, add: str, out: Path, init: Init, seed: int
) -> dict[str, Any]:
    """Writes the checkpoint with a larger vocabulary to `out`; returns the stored report.

    Args:
        path: checkpoint or run folder.
        backend: what the user says its backend is.
        tokenizer: what the user says its tokenizer is.
        add: see `read_addition`.
        out: folder to make; it must not exist or be empty.
        init: how new embeddings are initialized.
        seed: of their noise.

    Raises:
        AmttsError: the three do not belong together, or nothing can be added; nothing is written.
    """
    checkpoint = read_checkpoint(path)
    old = _stored_tokenizer(checkpoint, backend, tokenizer)
    new, left_out = add_symbols(old, read_addition(add))
    before, after = ({name: n for n, name in enumerate(kind.symbols())} for kind in (old, new))
    if len(after) == len(before):
        name, reason = next(iter(left_out.items()), ("", "it has all of them"))
        why = f": {name!r}: {reason}" if name else f": {reason}"
        raise AmttsError(
            f"nothing to add to the {len(before)} symbols of the tokenizer of {checkpoint.folder}{why}"
        )
    plan = plan_tokens(before, after)
    sources = choose_sources(plan.new, before, init=init)
    weights, loaded = checkpoint.weights(), checkpoint.load_backend()
    texts = loaded.text_tensors()
    resized = weights | {
        text.tensor: resize_text_tensor(
            weights[text.tensor],
            plan,
            before,
            sources,
            name=text.tensor,
            extra=text.num_extra_rows,
            seed=seed,
        )
        for text in texts
    }
    check_tables(weights, resized, plan, [text.tensor for text in texts])
    comparison = _compared(loaded, resized, old, new, plan, seed)
    result = {
        "backend": backend,
        "mode": "extend",
        "init": init,
        "seed": seed,
        **report.common_report(
            new,
            plan,
            sources,
            shapes={
                text.tensor: report.shapes_of(weights[text.tensor], resized[text.tensor]) for text in texts
            },
            left_out=left_out,
            comparison=comparison,
        ),
    }
    _install(out, _info_of(checkpoint, new, plan), resized, new, result, backend=loaded)
    return result


def _compared(
    before: Backend[Any],
    resized: Mapping[str, Tensor],
    old: TextTokenizer,
    new: TextTokenizer,
    plan: TokenPlan,
    seed: int,
) -> Comparison:
    """Both networks on existing text; the resized weights are loaded strictly."""
    texts = sample_texts(old.symbols(), seed=seed)
    texts = [text for text in texts if not any(name in text for name in plan.new)]
    pairs = [pair for pair in encode_both(texts, (old.encode, new.encode), {}) if pair[0]]
    short = [pair for pair in pairs if len(pair[0]) <= _SHORT] or pairs
    chosen = random.Random(seed).sample(short, min(len(short), _PROBED))
    after = type(before)(before.config, tokenizer=new, speakers=before.speakers)
    load_strict(after.network, resized, backend=before.spec.name)
    after.network.eval()
    difference = compare_backends(before, after, plan, chosen)
    return Comparison(through="network", why="", sequences=len(chosen), max_abs_diff=difference)


def _info_of(checkpoint: Checkpoint, tokenizer: TextTokenizer, plan: TokenPlan) -> CheckpointInfo:
    info = checkpoint.info
    return info.model_copy(
        update={
            "vocab_size": tokenizer.vocab_size,
            "tokenizer_hash": tokenizer.fingerprint(),
            "new_tokens": sorted({*info.new_tokens, *plan.new.values()}),
            "untrained_tokens": sorted({*info.untrained_tokens, *plan.new.values()}),
            "metrics": {},
        }
    )


def _install(
    out: Path,
    info: CheckpointInfo,
    weights: dict[str, Tensor],
    tokenizer: TextTokenizer,
    result: Mapping[str, Any],
    *,
    backend: Backend[Any],
) -> None:
    """Writes the checkpoint beside `out`, with the further files of the backend, loads it once, and renames it."""
    target = out.absolute()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
        declared = backend.spec.checkpoint_files
        files = declared.of(backend).write_files if declared is not None else None
        write_checkpoint(
            temporary, info, weights, tokenizer=tokenizer, documents={report.FILE: text}, files=files
        )
        read_checkpoint(temporary).load_backend()  # strictly, at the new size
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    except OSError as fault:
        raise AmttsError(f"cannot write {out}: {fault.strerror or fault}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _stored_tokenizer(checkpoint: Checkpoint, backend: str, path: Path) -> TextTokenizer:
    get_backend(backend)
    if checkpoint.info.backend != backend:
        raise CheckpointError(
            f"checkpoint {checkpoint.folder} is of backend '{checkpoint.info.backend}', not '{backend}'"
        )
    stored = checkpoint.tokenizer()
    if stored is None:
        raise CheckpointError(f"checkpoint {checkpoint.folder} learns without text; it has no vocabulary")
    given = load_tokenizer(tokenizer_file(path).path)
    if given.fingerprint() != stored.fingerprint():
        raise CheckpointError(
            f"tokenizer {path} has hash {given.fingerprint()[:12]} and {given.vocab_size} symbols, the one of "
            f"checkpoint {checkpoint.folder} {stored.fingerprint()[:12]} and {stored.vocab_size}",
            remedy=f"Use --tokenizer {checkpoint.folder / 'tokenizer'}",
        )
    return stored


def add_symbols(tokenizer: TextTokenizer, addition: Addition) -> tuple[TextTokenizer, dict[str, str]]:
    """A stored tokenizer with more symbols behind its last id; what could not be added, with the reason.

    Raises:
        AmttsError: tokenizers of this kind cannot grow.
    """
    module = tokenizer_module(tokenizer.kind)
    if not hasattr(module, "add_symbols"):
        raise AmttsError(f"tokenizers of kind {tokenizer.kind!r} cannot grow")
    extended: tuple[TextTokenizer, dict[str, str]] = module.add_symbols(tokenizer, addition)
    return extended
