"""Pauses, sound around the words and length of speech that was put together to have them."""

from __future__ import annotations

import numpy as np
import pytest

from amtts_core.evaluation.alignment import WordTime
from amtts_core.evaluation.pauses import pause_figures, sound_around

RATE = 16_000


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def spoken(parts: list[tuple[str, float]], *, before: float = 0.0) -> tuple[list[WordTime], np.ndarray]:
    """Words of 0.4 s, each with the silence after it, and where they are."""
    words, waves, at = [], [silence(before)], before
    for number, (word, pause) in enumerate(parts):
        words.append(WordTime(word, number, at, at + 0.4, 1.0))
        waves += [tone(0.4), silence(pause)]
        at += 0.4 + pause
    return words, np.concatenate(waves)


def test_pauses_are_told_apart_by_the_mark_before_them() -> None:
    words, wave = spoken(
        [("ሰላም፣", 0.2), ("ነህ።", 0.6), ("እኔ", 0.05), ("ደህና፤", 0.3), ("ነኝ።»", 0.5), ("አንተስ?", 0.9)]
    )
    found = pause_figures(words, wave, RATE)
    assert found["pause_clause"] == pytest.approx((0.2 + 0.3) / 2, abs=0.011)
    assert found["pause_sentence"] == pytest.approx((0.6 + 0.5) / 2, abs=0.011)  # not the one after the text
    assert found["pause_elsewhere"] == pytest.approx(0.05, abs=0.011)


def test_a_mark_that_is_read_over_is_no_pause_and_a_text_without_marks_has_no_figure() -> None:
    words, wave = spoken([("ሰላም።", 0.0), ("ነህ", 0.0)])
    assert pause_figures(words, wave, RATE) == {"pause_sentence": 0.0}
    assert pause_figures(words[:1], wave, RATE) == {}


def test_a_pause_is_found_though_the_alignment_put_the_edge_inside_of_it() -> None:
    words, wave = spoken([("ሰላም።", 0.6), ("ነህ", 0.0)])
    late = [WordTime("ሰላም።", 0, 0.0, 0.7, 1.0), WordTime("ነህ", 1, 0.9, 1.4, 1.0)]
    assert pause_figures(late, wave, RATE) == pytest.approx({"pause_sentence": 0.6}, abs=0.011)
    assert pause_figures(words, wave, RATE) == pytest.approx({"pause_sentence": 0.6}, abs=0.011)


def test_sound_before_and_after_the_words_without_their_decay() -> None:
    words, wave = spoken([("ሰላም", 0.1), ("ነህ።", 0.3)], before=0.5)
    assert sound_around(words, wave, RATE) == {"sound_before": 0.0, "sound_after": 0.0}
    hummed = np.concatenate([tone(0.3), wave[round(0.3 * RATE) :], tone(0.7), silence(0.2)])
    found = sound_around(words, hummed, RATE)
    assert found["sound_before"] == pytest.approx(0.3, abs=0.011)
    assert found["sound_after"] == pytest.approx(0.7, abs=0.011)
