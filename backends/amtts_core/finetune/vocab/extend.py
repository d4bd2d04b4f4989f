"""`amtts extend-vocab` without its words: sizes come from the files, and all is proven before any file is in place.

The result is written into a temporary folder, read back, checked (old rows bit for bit, old text through the
network, every Ethiopic letter) and renamed. On any fault nothing is left.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.errors import AmttsError
from amtts_core.finetune.vocab.config_files import check_sizes, config_files, read_config, write_resized
from amtts_core.finetune.vocab.families import Family, fit_text_rows, get_family, text_tokens
from amtts_core.finetune.vocab.initialise import INITS, Init, RowOrigin, row_origins
from amtts_core.finetune.vocab.old_text import encode_both, sample_texts
from amtts_core.finetune.vocab.own_checkpoint import extend_own, is_own
from amtts_core.finetune.vocab.plan import RowPlan, plan_rows
from amtts_core.finetune.vocab.probe import OldText, compare_network, compare_tables, find_probe
from amtts_core.finetune.vocab.resize import resize_rows
from amtts_core.finetune.vocab.tokenizers import Edited, edit, open_tokenizer_file
from amtts_core.finetune.vocab.weights_file import (
    WeightsFile,
    find_weights,
    read_back,
    read_weights,
    write_weights,
)
from amtts_core.finetune.weight_paths import located
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.published.additions import read_addition
from amtts_core.tokenizers.published.mapping import load_vocab_mapping
from amtts_core.tokenizers.published.vocabulary import size_of

REPORT = "vocab_report.json"
_PROBED = 24  # texts that go through both networks


@dataclass(frozen=True, kw_only=True)
class ExtendRequest:
    """What to extend, by what, and how.

    Attributes:
        backend: name of a family.
        checkpoint: published weights, or a folder with them.
        tokenizer: the tokenizer they were trained with.
        add: see `read_addition`.
        out: folder to make; it must not exist or be empty.
        mode: "extend" appends rows, "reuse" takes rows that no text can reach.
        pad_to: text tokens to fill up to; 0 fills nothing.
        init: how new rows start.
        language: language tag to add, such as "am"; empty adds none.
        seed: of the noise in new rows.
        old_text: texts of the old languages, a line each, checked besides the built-in ones.
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
    family = get_family(request.backend)
    _check_request(request, family)
    weights = read_weights(find_weights(request.checkpoint, family), landmark=family.rows[0].tensor)
    tokenizer = open_tokenizer_file(request.tokenizer, family)
    old = load_vocab_mapping(tokenizer)
    size = size_of(old)
    fitted = fit_text_rows(
        weights.tensors,
        family,
        size,
        source=f"checkpoint {weights.path}",
        remedy=f"Give the tokenizer that came with this checkpoint, not {tokenizer}; an extended one lies beside its "
        "weights",
    )
    padded = text_tokens(weights.tensors, family) != size
    if padded:
        weights = WeightsFile(weights.path.with_suffix(".safetensors"), fitted)
    configs = config_files(weights.path)
    if not padded:
        check_sizes(configs, family.size_keys, size)
    addition = read_addition(request.add)
    edited = edit(
        tokenizer,
        family,
        addition,
        reuse=request.mode == "reuse",
        pad_to=request.pad_to,
        language=request.language,
    )
    plan = plan_rows(edited.old, edited.new, old_size=size, same_as=edited.same_as)
    origins = row_origins(plan.new, edited.old, init=request.init, consonants=edited.consonants)
    resized = {
        rows.tensor: resize_rows(
            weights.tensors[rows.tensor],
            plan,
            edited.old,
            origins,
            name=rows.tensor,
            extra=rows.num_extra_rows,
            seed=request.seed,
        )
        for rows in family.rows
    }
    out = request.out.absolute()
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        temporary.mkdir(parents=True)
        written = write_weights(weights, temporary, resized)
        _write_tokenizer(edited, temporary)
        for path in configs:
            write_resized(path, temporary, family.size_keys, plan.new_size)
        old_text = _proven(request, family, weights, written, edited, plan, configs)
        report = _report(request, family, weights, edited, plan, origins, old_text)
        report["added_letters_the_tokenizer_lacked"] = addition.completed
        report["left_out"] |= dict.fromkeys(
            addition.left_out, "not Ethiopic; old text that holds it would change"
        )
        report["files"] = {
            str(path.relative_to(temporary)): _sha256(path)
            for path in sorted(temporary.rglob("*"))
            if path.is_file()
        }
        text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        (temporary / REPORT).write_text(text, encoding="utf-8")
        if out.exists():
            out.rmdir()  # empty, as checked
        temporary.rename(out)
    except OSError as fault:
        raise AmttsError(f"cannot write {request.out}: {fault.strerror or fault}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


def _check_request(request: ExtendRequest, family: Family) -> None:
    if request.mode not in family.modes:
        raise AmttsError(f"--mode {request.mode}: backend '{family.name}' knows {', '.join(family.modes)}")
    if request.mode == "reuse" and request.pad_to:
        raise AmttsError("--pad-to goes with --mode extend; --mode reuse keeps the size")


def _check_out(request: ExtendRequest) -> None:
    out = request.out
    if request.init not in INITS:
        raise AmttsError(f"--init {request.init}: choose one of {', '.join(INITS)}")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise AmttsError(f"{out} exists and is not empty; it stays as it is", remedy="Choose another --out")


def _extend_own(request: ExtendRequest) -> dict[str, Any]:
    given = {"--mode": request.mode != "extend", "--pad-to": request.pad_to, "--lang-tag": request.language}
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


def _write_tokenizer(edited: Edited, folder: Path) -> None:
    for name, content in edited.files.items():
        (folder / name).write_bytes(content)
    edited.tokenizer.save(folder / "tokenizer")


def _proven(
    request: ExtendRequest,
    family: Family,
    weights: WeightsFile,
    written: Path,
    edited: Edited,
    plan: RowPlan,
    configs: list[Path],
) -> OldText:
    """Reads everything back and compares it with the old model."""
    folder = written.parent
    names = [rows.tensor for rows in family.rows]
    again = read_back(written, weights.tensors, names)
    if text_tokens(again, family) != plan.new_size:
        raise AmttsError(
            f"{written.name} has {text_tokens(again, family)} text tokens, expected {plan.new_size}"
        )
    if load_vocab_mapping(folder / next(iter(edited.files))) != edited.new:
        raise AmttsError("the new tokenizer came back with other tokens than were written")
    stored = load_tokenizer(folder / "tokenizer")
    if stored.vocab_size != plan.new_size:
        raise AmttsError(f"the new tokenizer has {stored.vocab_size} tokens, the tables {plan.new_size} rows")
    texts = sample_texts(edited.texts, seed=request.seed)
    if request.old_text is not None:
        texts += _lines(request.old_text)
    texts = [text for text in texts if not any(name in text for name in plan.new)]  # asked for, so read anew
    moved = dict(plan.moved.values()) | {
        edited.old[name]: edited.new[name] for name in edited.same_as.values()
    }
    pairs = encode_both(texts, edited.encoders, moved)
    difference = compare_tables(weights.tensors, again, plan, names)
    probe, why = find_probe(family.name)
    if probe is None:
        return OldText(through="tables", why=why, sequences=len(pairs), max_abs_diff=difference)
    chosen = _probed(pairs, plan, request.seed)
    config = (read_config(configs), read_config([folder / path.name for path in configs]))
    difference = compare_network(probe, weights.tensors, again, config, plan, chosen)
    return OldText(through="network", why="", sequences=len(chosen), max_abs_diff=difference)


def _probed(
    pairs: list[tuple[list[int], list[int]]], plan: RowPlan, seed: int
) -> list[tuple[list[int], list[int]]]:
    """Texts for the networks: some real ones, then drawn ids, so that every table is entered far and wide."""
    source = random.Random(seed)
    target = {origin: number for number, origin in enumerate(plan.sources) if origin >= 0}
    usable = [pair for pair in pairs if len(pair[0]) >= 2]
    chosen = source.sample(usable, min(len(usable), _PROBED // 2))
    ids = sorted(target)
    while len(chosen) < _PROBED:
        drawn = source.choices(ids, k=source.randint(2, 12))
        chosen.append((drawn, [target[number] for number in drawn]))
    return chosen


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as fault:
        raise AmttsError(f"--old-text {path} cannot be read ({fault})") from None


def _report(
    request: ExtendRequest,
    family: Family,
    weights: WeightsFile,
    edited: Edited,
    plan: RowPlan,
    origins: Mapping[str, RowOrigin],
    old_text: OldText,
) -> dict[str, Any]:
    unwritable = [
        sign for sign in ethiopic_alphabet() if edited.tokenizer.unk_id in edited.tokenizer.encode(sign)
    ]
    return {
        "backend": family.name,
        "mode": request.mode,
        "init": request.init,
        "seed": request.seed,
        "language_tag": request.language,
        "source": {
            "checkpoint": {"file": weights.path.name, "sha256": _sha256(weights.path)},
            "tokenizer": {"tokens": len(edited.old)},
        },
        "tokenizer_fingerprint": edited.tokenizer.fingerprint(),
        **plan.to_json(),
        "tensors": {
            rows.tensor: _shapes(weights.tensors[rows.tensor], plan, rows.num_extra_rows)
            for rows in family.rows
        },
        "rows": [
            {"token": name, "id": number, "init": origins[name].init, "parts": list(origins[name].parts)}
            for name, number in plan.new.items()
        ],
        "copied_rows": dict(edited.same_as),
        "left_out": edited.left_out,
        "ethiopic_letters_still_unknown": unwritable,
        "old_text": {
            "compared_through": old_text.through,
            "why_not_the_network": old_text.why,
            "sequences": old_text.sequences,
            "max_abs_diff": old_text.max_abs_diff,
        },
    }


def _shapes(tensor: Tensor, plan: RowPlan, extra: int) -> dict[str, list[int]]:
    rest = list(tensor.shape[1:])
    return {"old": [tensor.shape[0], *rest], "new": [plan.new_size + extra, *rest]}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
