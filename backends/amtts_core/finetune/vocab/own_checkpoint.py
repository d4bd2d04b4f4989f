"""Extends a checkpoint of amtts itself: any backend that declares its text rows, with the tokenizer stored in it.

The same rules as for published files: rows follow their token, nothing is written before it is proven. The training
state is left behind: its moments belong to the old sizes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.checkpoints.checkpoint import Checkpoint, load_strict, read_checkpoint, write_checkpoint
from amtts_core.contract.registry import get_backend
from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.contract.types import TextTensor
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.finetune.vocab.initialise import Init, row_origins
from amtts_core.finetune.vocab.old_text import encode_both, sample_texts
from amtts_core.finetune.vocab.plan import plan_rows
from amtts_core.finetune.vocab.probe import compare_backends, compare_tables
from amtts_core.finetune.vocab.resize import resize_rows
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.fidel import FidelTokenizer
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet
from amtts_core.tokenizers.published.additions import Addition, read_addition
from amtts_core.tokenizers.published.hf_json import HfJsonTokenizer
from amtts_core.tokenizers.published.hf_surgery import change_vocabulary
from amtts_core.tokenizers.published.mapping import tokenizer_file
from amtts_core.tokenizers.published.sentencepiece_model import ForeignSentencePiece, append_pieces
from amtts_core.tokenizers.published.vits_vocab import VitsVocabulary, extend_list
from amtts_core.tokenizers.sentencepiece import SentencePieceTokenizer

REPORT = "vocab_report.json"
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
        backend: what the user takes it for.
        tokenizer: the tokenizer that the user takes for its own.
        add: see `read_addition`.
        out: folder to make; it must not exist or be empty.
        init: how new rows start.
        seed: of their noise.

    Raises:
        AmttsError: the three do not belong together, or nothing can be added; nothing is written.
    """
    checkpoint = read_checkpoint(path)
    old = _stored_tokenizer(checkpoint, backend, tokenizer)
    addition = read_addition(add)
    new, left_out = grow(old, addition)
    before, after = ({name: n for n, name in enumerate(kind.symbols())} for kind in (old, new))
    if len(after) == len(before):
        name, reason = next(iter(left_out.items()), ("", "it has all of them"))
        why = f": {name!r}: {reason}" if name else f": {reason}"
        raise AmttsError(
            f"nothing to add to the {len(before)} symbols of the tokenizer of {checkpoint.folder}{why}"
        )
    plan = plan_rows(before, after)
    origins = row_origins(plan.new, before, init=init)
    weights = checkpoint.weights()
    voice = checkpoint.load_backend()
    rows = voice.text_tensors()
    resized = weights | {
        row.tensor: resize_rows(
            weights[row.tensor], plan, before, origins, name=row.tensor, extra=row.num_extra_rows, seed=seed
        )
        for row in rows
    }
    texts = [
        text for text in sample_texts(old.symbols(), seed=seed) if not any(name in text for name in plan.new)
    ]
    pairs = [pair for pair in encode_both(texts, (old.encode, new.encode), {}) if pair[0]]
    compare_tables(weights, resized, plan, [row.tensor for row in rows])
    short = [pair for pair in pairs if len(pair[0]) <= _SHORT] or pairs
    chosen = random.Random(seed).sample(short, min(len(short), _PROBED))
    loaded = type(voice)(voice.config, tokenizer=new, speakers=voice.speakers)
    load_strict(loaded.network, resized, backend=voice.spec.name)
    loaded.network.eval()
    difference = compare_backends(voice, loaded, plan, chosen)
    new_tokens = sorted({*checkpoint.info.new_tokens, *plan.new.values()})
    untrained = sorted({*checkpoint.info.untrained_tokens, *plan.new.values()})
    info = checkpoint.info.model_copy(
        update={
            "vocab_size": new.vocab_size,
            "tokenizer_hash": new.fingerprint(),
            "new_tokens": new_tokens,
            "untrained_tokens": untrained,
            "metrics": {},
        }
    )
    report = {
        "backend": backend,
        "mode": "extend",
        "init": init,
        "seed": seed,
        "tokenizer_fingerprint": new.fingerprint(),
        **plan.to_json(),
        "tensors": {row.tensor: _shapes(weights, resized, row) for row in rows},
        "rows": [
            {"token": name, "id": number, "init": origins[name].init, "parts": list(origins[name].parts)}
            for name, number in plan.new.items()
        ],
        "left_out": left_out,
        "ethiopic_letters_still_unknown": [
            sign for sign in ethiopic_alphabet() if new.unk_id in new.encode(sign)
        ],
        "old_text": {
            "compared_through": "network",
            "why_not_the_network": "",
            "sequences": len(chosen),
            "max_abs_diff": difference,
        },
    }
    target = out.absolute()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        declared = voice.spec.checkpoint_files
        files = declared.of(voice).write_files if declared is not None else None
        write_checkpoint(temporary, info, resized, tokenizer=new, documents={REPORT: text}, files=files)
        read_checkpoint(temporary).load_backend()  # strictly, at the new size
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    except OSError as fault:
        raise AmttsError(f"cannot write {out}: {fault.strerror or fault}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


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


def grow(tokenizer: TextTokenizer, addition: Addition) -> tuple[TextTokenizer, dict[str, str]]:
    """A stored tokenizer with more symbols behind its last, and what could not be added.

    Raises:
        AmttsError: tokenizers of this kind cannot grow.
    """
    symbols: Sequence[str] = addition.symbols
    if isinstance(tokenizer, FidelTokenizer):
        known = tokenizer.symbols()
        wanted = [
            name for name in symbols if tokenizer.unk_id in tokenizer.encode(name) and name not in known
        ]
        left_out = {name: "it can be written already" for name in symbols if name not in {*known, *wanted}}
        return FidelTokenizer([*known, *dict.fromkeys(wanted)]), left_out
    if isinstance(tokenizer, SentencePieceTokenizer):
        pieces = append_pieces(tokenizer.model, symbols)
        return SentencePieceTokenizer(tokenizer.kind, pieces.model), pieces.left_out
    if isinstance(tokenizer, ForeignSentencePiece):
        pieces = append_pieces(tokenizer.model, symbols, letters=tokenizer.letters)
        return ForeignSentencePiece(pieces.model, letters=tokenizer.letters), pieces.left_out
    if isinstance(tokenizer, HfJsonTokenizer) and tokenizer.data["model"].get("type", "BPE") == "BPE":
        change = change_vocabulary(tokenizer.data, symbols, letters=addition.letters)
        grown = HfJsonTokenizer(change.data, language=tokenizer.language, lower=tokenizer.lower)
        return grown, change.left_out
    if isinstance(tokenizer, VitsVocabulary):
        listed = extend_list(tokenizer.vocabulary, symbols, front_end=tokenizer.front_end)
        return VitsVocabulary(
            listed.vocabulary, front_end=tokenizer.front_end, language=tokenizer.language
        ), listed.left_out
    raise AmttsError(f"tokenizers of kind {tokenizer.kind!r} cannot grow")


def _shapes(old: dict[str, Tensor], new: dict[str, Tensor], rows: TextTensor) -> dict[str, list[int]]:
    return {"old": list(old[rows.tensor].shape), "new": list(new[rows.tensor].shape)}
