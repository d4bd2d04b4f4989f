"""Refuses an unknown kind of tokenizer."""

from __future__ import annotations

from amtts_core.errors import AmttsError, nearest
from amtts_core.tokenizers.settings import KINDS


def check_kind(kind: str) -> None:
    """Refuses a kind that is not in `KINDS`, with the nearest one."""
    if kind not in KINDS:
        raise AmttsError(
            f"unknown tokenizer kind {kind!r}{nearest(kind, KINDS)}",
            remedy=f"Choose one of: {', '.join(KINDS)}",
        )
