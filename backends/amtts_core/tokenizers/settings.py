"""`tokenizer.json` of a stored tokenizer: read, checked and written.

A stored tokenizer is a folder: `tokenizer.json` (kind, format version, settings), `tokenizer.model` where the kind
has one, `tokenizer_report.json` where `amtts tokenize` measured it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from amtts_core.errors import AmttsError
from amtts_core.tokenizers.registry import KINDS, tokenizer_kinds

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
"""Token strings of `PAD`, `UNK`, `BOS` and `EOS`, the first four of every tokenizer trained here."""

FORMAT = 1
"""Version of `tokenizer.json`."""
SETTINGS_FILE = "tokenizer.json"
MODEL_FILE = "tokenizer.model"
REPORT_FILE = "tokenizer_report.json"


def read_settings(folder: Path) -> dict[str, Any]:
    """`tokenizer.json` of `folder`, checked for format and kind."""
    path = folder / SETTINGS_FILE
    if folder.is_file():
        raise AmttsError(
            f"{folder} is a file; expected a tokenizer folder", remedy=_train_into(folder.parent)
        )
    if not path.is_file():
        missing = f"{SETTINGS_FILE} is missing" if folder.is_dir() else "there is no such folder"
        raise AmttsError(f"no tokenizer at {folder}: {missing}", remedy=_train_into(folder))
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise damaged(folder, f"{SETTINGS_FILE} cannot be read ({fault})") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("kind"), str):
        raise damaged(folder, f"{SETTINGS_FILE} was not written by amtts (it names no tokenizer kind)")
    if settings["kind"] not in tokenizer_kinds():
        raise AmttsError(
            f"tokenizer {folder}: unknown kind {settings['kind']!r} (this version knows {', '.join(KINDS)})",
            remedy=f"Install the package that made it or a newer amtts, or: {_train_into(folder)}",
        )
    if settings.get("format") != FORMAT:
        raise AmttsError(
            f"tokenizer {folder}: format {settings.get('format')!r}; this version reads format {FORMAT}",
            remedy=f"Install a newer amtts, or: {_train_into(folder)}",
        )
    return settings


def write_settings(folder: Path, kind: str, settings: dict[str, Any]) -> None:
    """Writes `tokenizer.json`, a readable file with sorted keys."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, "kind": kind} | settings, ensure_ascii=False, indent=1)
    (folder / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")


def write_model(folder: Path, kind: str, model: bytes, settings: dict[str, Any]) -> None:
    """Writes `tokenizer.model`, and `tokenizer.json` with its SHA-256 beside the other settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model)
    write_settings(folder, kind, {**settings, "sha256": hashlib.sha256(model).hexdigest()})


def read_model(folder: Path, settings: dict[str, Any]) -> bytes:
    """`tokenizer.model` of `folder`.

    Raises:
        AmttsError: it cannot be read, or is not the one that `settings` names.
    """
    try:
        model = (folder / MODEL_FILE).read_bytes()
    except OSError as fault:
        raise damaged(folder, f"{MODEL_FILE}: {fault.strerror}") from None
    expected, found = settings.get("sha256"), hashlib.sha256(model).hexdigest()
    if expected != found:
        raise damaged(folder, f"{MODEL_FILE} has SHA-256 {found[:12]}, expected {expected!s:.12}")
    return model


def damaged(folder: Path, what: str) -> AmttsError:
    """The error for a stored tokenizer that cannot be used."""
    return AmttsError(f"tokenizer {folder} is damaged: {what}", remedy=f"{_train_into(folder)} --force")


def _train_into(folder: Path) -> str:
    return f"Train one with: amtts tokenize --data DIR --out {folder}"
