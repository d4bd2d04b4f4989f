"""Speech that ends where its last sound ends, as `amtts prepare` trims it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from amtts_core.audio.io import read_audio
from amtts_core.contract.recognizer_registry import open_recognizer
from amtts_core.evaluation.text_errors import text_errors
from amtts_core.text.normalizer import Normalizer

CORPUS = Path(__file__).parents[3] / "examples" / "corpus"
RATE = 16_000


def test_no_letter_is_read_out_of_a_cut_edge() -> None:
    """12 sentences: 4.5 % of the letters were wrong, nearly all of them a letter after the last word."""
    recognizer, normalize = open_recognizer(), Normalizer()
    errors = letters = 0
    for line in (CORPUS / "metadata.csv").read_text(encoding="utf-8").splitlines()[1::33]:
        name, text = line.split("|")
        wave = read_audio(CORPUS / name, sample_rate=RATE)
        loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
        trimmed = wave[max(0, loud[0] - round(0.05 * RATE)) : loud[-1] + round(0.05 * RATE)]
        found = text_errors(normalize(text), recognizer.transcribe([trimmed])[0].text).cer
        errors, letters = errors + found.errors, letters + found.length
    assert errors / letters < 0.01
