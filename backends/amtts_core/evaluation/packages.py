"""Optional packages that carry models: found when a metric needs them, and one line where they are missing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from amtts_core.errors import AmttsError

EXTRA = "pip install 'amtts[evaluate]'"
WITHOUT_DEPENDENCIES = "pip install --no-deps distillmos xls-r-sqa Resemblyzer"
"""They declare torchaudio, librosa or webrtcvad, which nothing here needs."""


def installed(package: str) -> bool:
    """Whether an import would find it; imports nothing."""
    return importlib.util.find_spec(package) is not None


def folder_of(package: str, *, needed_for: str, remedy: str) -> Path:
    """Where an installed package lies; it is not imported.

    Raises:
        AmttsError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise AmttsError(f"{needed_for} needs the package '{package}'", remedy=f"Install it with: {remedy}")
    return Path(spec.origin).parent


def import_without_torchaudio(package: str) -> ModuleType:
    """Imports a package that imports torchaudio at its top and uses it only in its own command line."""
    if installed("torchaudio") or "torchaudio" in sys.modules:
        return importlib.import_module(package)
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    try:
        return importlib.import_module(package)
    finally:
        del sys.modules["torchaudio"]
