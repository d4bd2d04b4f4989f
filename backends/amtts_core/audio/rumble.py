"""DC offset and rumble, taken out before anything is measured: they hide silence and fake loudness."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from amtts_core.units import Hertz


@lru_cache(maxsize=32)
def _filter(cutoff: float, rate: Hertz) -> tuple[np.ndarray, np.ndarray]:
    from scipy.signal import butter, sosfilt_zi

    sections = butter(2, cutoff, "highpass", fs=rate, output="sos")
    return sections, sosfilt_zi(sections)


def remove_rumble(samples: np.ndarray, rate: Hertz, cutoff: float) -> np.ndarray:
    """The samples without DC and with a second-order high-pass at `cutoff` Hz, (T,) float64; 0 removes DC only.

    The filter starts settled on the first sample, so an offset leaves no thump at the start.
    """
    centred = samples.astype(np.float64)
    if not len(centred):
        return centred
    centred -= centred.mean()
    if cutoff <= 0:
        return centred
    from scipy.signal import sosfilt

    sections, settled = _filter(cutoff, rate)
    out, _ = sosfilt(sections, centred, zi=settled * centred[0])
    return np.asarray(out, np.float64)
