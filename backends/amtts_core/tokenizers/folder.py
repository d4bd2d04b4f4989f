"""Puts a tokenizer folder in place at once, and never over something that is not one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from amtts_core.contract.tokenizer import TextTokenizer
from amtts_core.errors import AmttsError
from amtts_core.tokenizers.factory import load_tokenizer
from amtts_core.tokenizers.settings import MODEL_FILE, REPORT_FILE, SETTINGS_FILE, read_settings

Outcome = Literal["written", "replaced", "unchanged"]
_OURS = {SETTINGS_FILE, MODEL_FILE, REPORT_FILE}


def check_target(folder: Path, *, force: bool) -> None:
    """Refuses a target before work is spent on it.

    Raises:
        AmttsError: `folder` is a file, holds other things than a tokenizer, or lies below a file.
    """
    remedy = "Choose another --out"
    for parent in folder.absolute().parents:
        if parent.exists():
            if not parent.is_dir():
                raise AmttsError(f"{folder}: {parent} is a file; expected a folder", remedy=remedy)
            break
    if not folder.exists():
        return
    if not folder.is_dir():
        raise AmttsError(f"{folder} is a file; expected a folder to write the tokenizer into", remedy=remedy)
    names = {entry.name for entry in folder.iterdir()}
    if not names:
        return
    if SETTINGS_FILE not in names or names - _OURS:
        other = sorted(names - _OURS)
        what = f"it holds {', '.join(other[:3])}" if other else f"it has no {SETTINGS_FILE}"
        raise AmttsError(f"{folder} is not a tokenizer folder ({what}); it stays as it is", remedy=remedy)
    if not force:
        read_settings(folder)  # says so where it is damaged


def install_tokenizer(
    tokenizer: TextTokenizer, folder: Path, report: Mapping[str, Any], *, force: bool
) -> Outcome:
    """Writes tokenizer and report beside `folder` and renames them into place.

    An identical tokenizer is left alone and only its report is renewed.

    Raises:
        AmttsError: another tokenizer is there and `force` is not given, or the folder cannot be written.
    """
    check_target(folder, force=force)
    folder = folder.resolve()
    occupied = folder.is_dir() and any(folder.iterdir())
    try:
        if occupied and _fingerprint(folder, force=force) == tokenizer.fingerprint():
            _write_report(folder, report)
            return "unchanged"
        if occupied and not force:
            raise AmttsError(
                f"{folder} holds another tokenizer; models trained with it would no longer fit",
                remedy="Replace it with --force, or choose another --out",
            )
        _swap_in(tokenizer, folder, report)
    except OSError as fault:
        raise AmttsError(f"cannot write the tokenizer to {folder}: {fault.strerror or fault}") from None
    return "replaced" if occupied else "written"


def _fingerprint(folder: Path, *, force: bool) -> str:
    """Fingerprint of the stored tokenizer; a damaged one has none where it may be replaced."""
    try:
        return load_tokenizer(folder).fingerprint()
    except AmttsError:
        if not force:
            raise
        return ""


def _write_report(folder: Path, report: Mapping[str, Any]) -> None:
    temporary = folder / f".{REPORT_FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / REPORT_FILE)


def _swap_in(tokenizer: TextTokenizer, folder: Path, report: Mapping[str, Any]) -> None:
    new = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    new.mkdir(parents=True)
    try:
        tokenizer.save(new)
        _write_report(new, report)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
