"""Word times of speech whose text is known, for captions beside it."""

from __future__ import annotations

import numpy as np

from amtts_core.contract.recognizer import FrameRecognizer
from amtts_core.evaluation.alignment import align_text
from amtts_core.evaluation.subtitle_files import Caption
from amtts_core.evaluation.systems import at_rate
from amtts_core.units import Hertz


def word_captions(recognizer: FrameRecognizer, waveform: np.ndarray, rate: Hertz, text: str) -> list[Caption]:
    """One caption a word of a normalized text, in order; words that were not found are left out.

    Raises:
        AmttsError: no word has a letter that the recognizer knows.
    """
    found = align_text(recognizer, at_rate(waveform, rate, recognizer.sample_rate), text)
    return [Caption(word.word, word.start, word.end) for word in found.words]
