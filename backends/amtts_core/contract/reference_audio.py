"""Features of reference audio: how they are computed and encoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amtts_core.contract.types import Features
from amtts_core.units import Hertz

if TYPE_CHECKING:
    import numpy as np

PromptFeatures = dict[str, "np.ndarray"]
"""Features of one reference recording: name -> (L, C)."""


@dataclass(frozen=True)
class FeatureExtractor:
    """How waveforms become features that are computed once and stored.

    Attributes:
        name: of the owner, such as the backend's.
        key: changes whenever the features would.
        sample_rate: of the waveforms, Hz.
        extract: (T,) float32 in [-1, 1] -> features.
        rate_is_configurable: settings could give another rate, so recordings of a lower one are reported.
        extract_more: further arrays that depend on the utterance as well: (utterance of the manifest, waveform) ->
            arrays.
    """

    name: str
    key: str
    sample_rate: Hertz
    extract: Callable[[np.ndarray], Features]
    rate_is_configurable: bool = False
    extract_more: Callable[[Any, np.ndarray], dict[str, np.ndarray]] | None = None


@dataclass(frozen=True)
class PromptEncoder:
    """A frozen encoder of reference audio, run once per recording.

    Attributes:
        key: changes whenever the result would.
        encode: features of one recording -> its conditioning.
    """

    key: str
    encode: Callable[[PromptFeatures], PromptFeatures]
