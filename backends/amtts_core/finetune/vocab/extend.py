"""`amtts extend-vocab` without its command line: adds symbols to a tokenizer and the weights that belong to it.

Sizes come from the files. The result is written into a temporary folder, read back, checked (see `verify`) and renamed;
where a check fails, nothing is left.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.contract.published import PublishedFormat
from amtts_core.contract.tokenizer_format import Addition, ExtendedTokenizer
from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab import report
from amtts_core.finetune.vocab.config_files import check_sizes, config_files, write_resized
from amtts_core.finetune.vocab.initialize import INITS, Init, InitSource, choose_sources
from amtts_core.finetune.vocab.own_checkpoint import extend_own, is_own
from amtts_core.finetune.vocab.plan import TokenPlan, plan_tokens
from amtts_core.finetune.vocab.published import get_published, num_text_tokens
from amtts_core.finetune.vocab.resize import resize_text_tensor
from amtts_core.finetune.vocab.text_rows import fit_text_rows
from amtts_core.finetune.vocab.verify import verify_written
from amtts_core.finetune.vocab.weights_file import WeightsFile, find_weights, read_weights, write_weights
from amtts_core.finetune.weight_paths import located
from amtts_core.storage.peft_adapter import is_adapter, with_adapter
from amtts_core.tokenizers.published.additions import read_addition
from amtts_core.tokenizers.published.mapping import tokenizer_file
from amtts_core.tokenizers.published.vocabulary import size_of


@dataclass(frozen=True, kw_only=True)
class ExtendRequest:
    """What to extend, by what, and how.

    Attributes:
        backend: name of a backend that reads published weights, or of the checkpoint's backend.
        checkpoint: published weights or a folder with them, or a checkpoint of amtts.
        tokenizer: the tokenizer that belongs to them.
        add: see `read_addition`.
        out: folder to make; it must not exist or be empty.
        mode: "extend" adds ids behind the last one, "reuse" takes those of tokens that no text can contain.
        pad_to: number of text tokens to fill up to; 0 fills nothing.
        init: how new embeddings are initialized.
        language: language tag to add, such as "am"; empty adds none.
        seed: of the noise in new embeddings.
        old_text: texts of other languages, a line each, checked besides the built-in ones.
    """

    backend: str
    checkpoint: Path
    tokenizer: Path
    add: str
    out: Path
    mode: str = "extend"
    pad_to: int = 0
    init: Init = "romanized"
    language: str = ""
    seed: int = 0
    old_text: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Extension:
    """Everything that is known before anything is written."""

    published: PublishedFormat
    weights: WeightsFile
    configs: list[Path]
    addition: Addition
    tokenizer: ExtendedTokenizer
    plan: TokenPlan
    sources: dict[str, InitSource]


def extend_vocabulary(request: ExtendRequest) -> dict[str, Any]:
    """Extends tokenizer and checkpoint together; returns the report that is stored as `vocab_report.json`.

    Raises:
        AmttsError: files that do not belong together, nothing to add, or a check that failed; nothing is written.
    """
    checkpoint = located(request.checkpoint, option="--checkpoint")
    tokenizer_path = located(request.tokenizer, option="--tokenizer")
    request = replace(request, checkpoint=checkpoint, tokenizer=tokenizer_path)
    _check_out(request)
    if is_own(request.checkpoint):
        return _extend_own(request)
    extension = _extension(request, get_published(request.backend))
    resized = _resized(extension, request.seed)
    out = request.out.absolute()
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        temporary.mkdir(parents=True)
        result = _write(request, extension, resized, temporary)
        if out.exists():
            out.rmdir()  # empty, as checked
        temporary.rename(out)
    except OSError as fault:
        raise AmttsError(f"cannot write {request.out}: {fault.strerror or fault}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return result


def _extension(request: ExtendRequest, published: PublishedFormat) -> _Extension:
    """Reads all files, checks that they belong together, and decides about every token."""
    _check_mode(request, published)
    weights = read_weights(find_weights(request.checkpoint, published), landmark=published.landmark)
    configs = config_files(weights.path)
    check_sizes(configs, published.size_keys, num_text_tokens(weights.tensors, published))
    if is_adapter(request.checkpoint):
        weights = weights.changed(with_adapter(request.checkpoint, weights.tensors))
    file = _tokenizer_file(request.tokenizer, published)
    size = size_of(published.text_format.read_vocabulary(file))
    weights = _without_padding(weights, published, size, file)
    addition = read_addition(request.add)
    extend = published.text_format.extend
    assert extend is not None  # `get_published` finds extendable formats only
    extended = extend(
        file,
        addition,
        reuse=request.mode == "reuse",
        pad_to=request.pad_to,
        language=request.language,
    )
    _check_added(file, addition, extended)
    plan = plan_tokens(extended.old, extended.new, old_size=size, same_as=extended.same_as)
    return _Extension(
        published=published,
        weights=weights,
        configs=configs,
        addition=addition,
        tokenizer=extended,
        plan=plan,
        sources=choose_sources(plan.new, extended.old, init=request.init, consonants=extended.consonants),
    )


def _without_padding(
    weights: WeightsFile, published: PublishedFormat, size: int, tokenizer: Path
) -> WeightsFile:
    """The weights with a row a token; changed ones are written as safetensors."""
    if num_text_tokens(weights.tensors, published) == size:
        return weights
    fitted = fit_text_rows(
        weights.tensors,
        published,
        size,
        source=f"checkpoint {weights.path}",
        remedy=f"Give the tokenizer that came with this checkpoint, not {tokenizer}; an extended one lies beside its "
        "weights",
    )
    return weights.changed(fitted)


def _check_mode(request: ExtendRequest, published: PublishedFormat) -> None:
    if request.mode not in published.modes:
        raise AmttsError(
            f"--mode {request.mode}: backend '{published.name}' knows {', '.join(published.modes)}"
        )
    if request.mode == "reuse" and request.pad_to:
        raise AmttsError("--pad-to goes with --mode extend; --mode reuse keeps the size")


def _check_out(request: ExtendRequest) -> None:
    out = request.out
    if request.init not in INITS:
        raise AmttsError(f"--init {request.init}: choose one of {', '.join(INITS)}")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise AmttsError(f"{out} exists and is not empty; it stays as it is", remedy="Choose another --out")


def _tokenizer_file(path: Path, published: PublishedFormat) -> Path:
    found = tokenizer_file(path, prefer=published.tokenizer)
    if found.format != published.tokenizer:
        raise AmttsError(
            f"tokenizer {path} is {found.description}; backend '{published.name}' has "
            f"{published.text_format.description}"
        )
    return found.path


def _check_added(file: Path, addition: Addition, extended: ExtendedTokenizer) -> None:
    if set(extended.new) != set(extended.old):
        return
    if extended.left_out:
        name, reason = next(iter(extended.left_out.items()))
        count = len(extended.left_out)
        what = f"{count} of {len(addition.symbols)} symbols cannot be added, such as {name!r}: {reason}"
    else:
        what = f"it already has every symbol of --add {addition.source[:60]}"
    raise AmttsError(
        f"nothing to add to tokenizer {file} ({len(extended.old)} tokens): {what}",
        remedy="" if extended.left_out else "This vocabulary is already extended; train from its checkpoint",
    )


def _resized(extension: _Extension, seed: int) -> dict[str, Tensor]:
    """Every text tensor at its new size."""
    return {
        text.tensor: resize_text_tensor(
            extension.weights.tensors[text.tensor],
            extension.plan,
            extension.tokenizer.old,
            extension.sources,
            name=text.tensor,
            extra=text.num_extra_rows,
            seed=seed,
        )
        for text in extension.published.text_tensors
    }


def _write(
    request: ExtendRequest, extension: _Extension, resized: Mapping[str, Tensor], folder: Path
) -> dict[str, Any]:
    """Writes and checks everything in `folder`; returns the report."""
    published, extended, plan = extension.published, extension.tokenizer, extension.plan
    written = write_weights(extension.weights, folder, resized)
    for name, content in extended.files.items():
        (folder / name).write_bytes(content)
    extended.tokenizer.save(folder / "tokenizer")
    for path in extension.configs:
        write_resized(path, folder, published.size_keys, plan.new_size)
    comparison = verify_written(
        written,
        extension.weights,
        published,
        extended,
        plan,
        configs=extension.configs,
        old_text=request.old_text,
        seed=request.seed,
    )
    not_ethiopic = dict.fromkeys(
        extension.addition.left_out, "not Ethiopic; old text that holds it would change"
    )
    old_tensors = extension.weights.tensors
    result = {
        "backend": published.name,
        "mode": request.mode,
        "init": request.init,
        "seed": request.seed,
        "language_tag": request.language,
        "source": {
            "checkpoint": {
                "file": extension.weights.path.name,
                "sha256": report.sha256(extension.weights.path),
            },
            "tokenizer": {"tokens": len(extended.old)},
        },
        **report.common_report(
            extended.tokenizer,
            plan,
            extension.sources,
            shapes={name: report.shapes_of(old_tensors[name], new) for name, new in resized.items()},
            copied=extended.same_as,
            left_out=extended.left_out | not_ethiopic,
            comparison=comparison,
        ),
        "added_letters_the_tokenizer_lacked": extension.addition.completed,
        "files": {
            str(path.relative_to(folder)): report.sha256(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    (folder / report.FILE).write_text(text, encoding="utf-8")
    return result


def _extend_own(request: ExtendRequest) -> dict[str, Any]:
    given = {
        "--mode": request.mode != "extend",
        "--pad-to": request.pad_to,
        "--language-tag": request.language,
    }
    if typed := [name for name, value in given.items() if value]:
        raise AmttsError(
            f"{', '.join(typed)}: only for published files, {request.checkpoint} is a checkpoint of amtts"
        )
    return extend_own(
        request.checkpoint,
        backend=request.backend,
        tokenizer=request.tokenizer,
        add=request.add,
        out=request.out,
        init=request.init,
        seed=request.seed,
    )
