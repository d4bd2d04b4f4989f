"""What `amtts extend-vocab` did, as `vocab_report.json` holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.finetune.vocab.compare import Comparison
from amtts_core.finetune.vocab.initialize import InitSource
from amtts_core.finetune.vocab.plan import TokenPlan
from amtts_core.tokenizers.fidel_alphabet import ethiopic_alphabet

FILE = "vocab_report.json"


def common_report(
    tokenizer: TextTokenizer,
    plan: TokenPlan,
    sources: Mapping[str, InitSource],
    *,
    shapes: Mapping[str, dict[str, list[int]]],
    left_out: Mapping[str, str],
    comparison: Comparison,
    copied: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The part that reports on published weights and on checkpoints of amtts share.

    Args:
        tokenizer: the extended one.
        plan: old and new ids.
        sources: new token -> where its embedding comes from.
        shapes: text tensor -> its shape before and after.
        left_out: symbol that was not added -> reason.
        comparison: of outputs for existing text.
        copied: new token -> old token whose embedding it copies; None leaves the key out.
    """
    return {
        "tokenizer_fingerprint": tokenizer.fingerprint(),
        **plan.to_json(),
        "tensors": dict(shapes),
        "rows": [
            {"token": name, "id": number, "init": sources[name].init, "parts": list(sources[name].parts)}
            for name, number in plan.new.items()
        ],
        **({} if copied is None else {"copied_rows": dict(copied)}),
        "left_out": dict(left_out),
        "ethiopic_letters_still_unknown": [
            sign for sign in ethiopic_alphabet() if tokenizer.unk_id in tokenizer.encode(sign)
        ],
        "old_text": {
            "compared_through": comparison.through,
            "why_not_the_network": comparison.why,
            "sequences": comparison.sequences,
            "max_abs_diff": comparison.max_abs_diff,
        },
    }


def shapes_of(old: Tensor, new: Tensor) -> dict[str, list[int]]:
    """Shapes of a text tensor before and after."""
    return {"old": list(old.shape), "new": list(new.shape)}


def sha256(path: Path) -> str:
    """Of a file, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
