"""Long consonants: recordings in which marked consonants were made longer, and a voice that makes no difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from stretching import stretched

from amtts_core.audio.io import read_audio
from amtts_core.contract.recognizer_registry import frame_recognizer
from amtts_core.evaluation.alignment import LetterTime, WordTime, align_text
from amtts_core.evaluation.evaluate import evaluate
from amtts_core.evaluation.items import TestItem
from amtts_core.evaluation.measures import marked_symbols
from amtts_core.evaluation.pauses import GEMINATION_MARK, gemination_ratio
from amtts_core.evaluation.settings import EvaluationSettings
from amtts_core.evaluation.systems import FolderSystem
from amtts_core.text.ethiopic import decompose
from amtts_core.text.normalizer import Normalizer

CORPUS = Path(__file__).parents[3] / "examples" / "corpus"
RATE = 16_000
HELD = "ስምንልሽርዝ"
"""Consonants that can be held, by their sixth order letters."""


def word(symbols: list[tuple[int, float]]) -> WordTime:
    times, at = [], 0.0
    for symbol, length in symbols:
        times.append(LetterTime(symbol, at, at + length))
        at += length
    return WordTime("w", 0, 0.0, at, 1.0, times)


def test_the_ratio_is_of_long_over_other_consonants() -> None:
    words = [word([(1, 0.2), (9, 0.5), (1, 0.1)]), word([(2, 0.3), (9, 0.5), (2, 0.2)])]
    lengths = [["long", "", "short"], ["long", "", "short"]]
    found = gemination_ratio(words, lengths)  # type: ignore[arg-type]
    assert found["gemination_ratio"] == pytest.approx(0.25 / 0.15)
    assert gemination_ratio(words, [["short", "", "short"]] * 2) == {}


def test_marks_belong_to_the_consonant_of_the_letter_before_them() -> None:
    found = marked_symbols(f"አለ{GEMINATION_MARK}። ገና", frame_recognizer())
    assert found == [["short", "", "long", ""], ["short", "", "short", ""]]


def marked(text: str) -> str:
    """Marks every second letter of a word whose consonant can be held."""
    words = []
    for number, written in enumerate(text.split()):
        can = len(written) > 2 and "\u1200" <= written[1] <= "\u1357" and decompose(written[1])[0] in HELD
        mark = GEMINATION_MARK if can and number % 2 == 0 else ""
        words.append(written[:2] + mark + written[2:])
    return " ".join(words)


def lengthened(wave: np.ndarray, reference: str) -> np.ndarray:
    recognizer = frame_recognizer()
    words = align_text(recognizer, wave, reference.replace(GEMINATION_MARK, "")).words
    flags = marked_symbols(reference, recognizer)
    cuts = [
        (round(letter.start * RATE), round(letter.end * RATE))
        for timed, long in zip(words, flags, strict=True)
        for letter, kind in zip(timed.symbols, long, strict=True)
        if kind == "long"
    ]
    parts, at = [], 0
    for start, end in cuts:
        parts += [
            wave[at:start],
            stretched(wave[start - 200 : end + 200], 1 + 1.2 * (end - start) / (end - start + 400)),
        ]
        at = end
        parts[-1] = parts[-1][200 : len(parts[-1]) - 200]
    return np.concatenate([*parts, wave[at:]])


@pytest.mark.slow
def test_a_voice_without_gemination_is_caught(tmp_path: Path) -> None:
    items, plain = [], tmp_path / "plain"
    plain.mkdir()
    lines = (CORPUS / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines[::24]:
        name, text = line.split("|")
        reference = marked(Normalizer()(text))
        if GEMINATION_MARK not in reference:
            continue
        wave = read_audio(CORPUS / name, sample_rate=RATE)
        path = tmp_path / f"{Path(name).stem}.wav"
        soundfile.write(path, lengthened(wave, reference), RATE)
        soundfile.write(plain / path.name, wave, RATE)
        items.append(TestItem(id=path.stem, text=text, reference=reference, audio=path))
    assert len(items) >= 8
    settings = EvaluationSettings(metrics=("text", "signal", "alignment"))
    found = evaluate([FolderSystem(plain, name="plain")], items, settings=settings, work=tmp_path / "work")
    verdicts = {f.figure: f.verdict for f in found.findings if f.verdict}
    ratios = [found.summary(name) for name in ("recordings", "plain")]
    long, same = (summary.figures["gemination_ratio"].value for summary in ratios if summary)
    # Of 2.2 times the length 1.28 times is found: the alignment gives the rest to the vowel.
    assert long > 1.15 * same
    assert {figure for figure, verdict in verdicts.items() if verdict == "worse"} == {"gemination_ratio"}
    # The recordings here are the stretched ones, which are harder to read.
    assert set(verdicts) <= {"gemination_ratio", "duration_ratio", "cer"}
