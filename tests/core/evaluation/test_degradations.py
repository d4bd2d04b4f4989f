"""Speech made worse on purpose is caught by the figure meant for it, and by no other.

The recordings of the bundled corpus stand for a perfect voice; copies of them are made worse in one way each.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from stretching import stretched

from amtts_core.audio.io import read_audio
from amtts_core.contract.recognizer_registry import frame_recognizer
from amtts_core.evaluation import packages
from amtts_core.evaluation.alignment import align_text
from amtts_core.evaluation.evaluate import evaluate
from amtts_core.evaluation.items import TestItem
from amtts_core.evaluation.settings import EvaluationSettings
from amtts_core.evaluation.systems import FolderSystem
from amtts_core.text.normalizer import Normalizer

CORPUS = Path(__file__).parents[3] / "examples" / "corpus"
RATE = 16_000
COUNT = 10
Change = Callable[[np.ndarray, TestItem, np.random.Generator], np.ndarray]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def items() -> list[TestItem]:
    normalize = Normalizer()
    lines = (CORPUS / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:]
    found = []
    for line in lines[:: len(lines) // COUNT][:COUNT]:
        name, text = line.split("|")
        path = CORPUS / name
        found.append(TestItem(id=path.stem, text=text, reference=normalize(text), audio=path))
    return found


def copy(wave: np.ndarray, item: TestItem, random: np.random.Generator) -> np.ndarray:
    return wave


def noise(wave: np.ndarray, _: TestItem, random: np.random.Generator) -> np.ndarray:
    return wave + random.normal(0, 0.006, len(wave)).astype(np.float32)


def _words(wave: np.ndarray, item: TestItem):  # type: ignore[no-untyped-def]
    return align_text(frame_recognizer(), wave, item.reference).words


def dropped_word(wave: np.ndarray, item: TestItem, _: np.random.Generator) -> np.ndarray:
    words = _words(wave, item)
    word = max(words[1:-1], key=lambda w: len(w.word))
    return np.concatenate([wave[: int(word.start * RATE)], wave[int(word.end * RATE) :]])


def babble(wave: np.ndarray, item: TestItem, _: np.random.Generator) -> np.ndarray:
    """The sentence goes on with some of its own words."""
    words = _words(wave, item)
    start, end = int(words[0].start * RATE), int(words[1].end * RATE)
    last = int((words[-1].end + 0.1) * RATE)
    again = wave[start:end] * np.minimum(
        1, np.minimum(np.arange(end - start), np.arange(end - start)[::-1]) / 400
    )
    return np.concatenate([wave[:last], again.astype(np.float32), wave[last:]])


def hum_after(wave: np.ndarray, item: TestItem, random: np.random.Generator) -> np.ndarray:
    """Noise goes on after the last word."""
    last = int((_words(wave, item)[-1].end + 0.05) * RATE)
    tail = np.convolve(random.normal(0, 0.2, int(1.2 * RATE)), np.ones(40) / 40, mode="same")
    return np.concatenate([wave[:last], tail.astype(np.float32)])


def other_speaker(wave: np.ndarray, item: TestItem, _: np.random.Generator) -> np.ndarray:
    """The same sentence by another voice of the synthesizer."""
    espeakng_loader = pytest.importorskip("espeakng_loader", reason="eSpeak NG's library is not installed")
    script = CORPUS / "speak_with_library.py"
    command = [
        sys.executable,
        str(script),
        espeakng_loader.get_library_path(),
        espeakng_loader.get_data_path(),
    ]
    done = subprocess.run(
        [*command, "am+f2", "150", "50"], input=item.text.encode(), capture_output=True, check=True
    )
    head, _, samples = done.stdout.partition(b"\n")
    spoken = np.frombuffer(samples, dtype="<i2").astype(np.float32) / 32768
    return soxr.resample(spoken, int(head.split()[0]), RATE).astype(np.float32)


def slower(wave: np.ndarray, item: TestItem, _: np.random.Generator) -> np.ndarray:
    return stretched(wave, 1.1)


def quiet(wave: np.ndarray, item: TestItem, _: np.random.Generator) -> np.ndarray:
    return wave * 0.4


def clipped(wave: np.ndarray, item: TestItem, _: np.random.Generator) -> np.ndarray:
    return np.clip(wave / np.abs(wave).max() * 1.6, -1, 1)


CAUGHT: list[tuple[Change, set[str], set[str]]] = [
    (noise, {"dnsmos_background"}, {"distillmos"}),
    (dropped_word, {"skipped_words", "cer"}, {"duration_ratio", "distillmos"}),
    (babble, {"run_on", "cer", "sound_after"}, {"distillmos", "dnsmos_background"}),
    (hum_after, {"sound_after"}, {"distillmos", "dnsmos_background", "cer"}),
    (
        other_speaker,
        {"speaker_similarity"},
        {"pitch_shift", "distillmos", "dnsmos_background", "loudness_lufs"},
    ),
    (slower, {"duration_ratio"}, {"distillmos"}),
    (quiet, {"loudness_lufs"}, set()),
    (clipped, {"clipped_share", "loudness_lufs"}, {"distillmos"}),
]
"""What is done, the figures that have to catch it, and those that may as well: they measure the same or all of it.

Loud noise after the last word is read as one letter, an insertion, so `cer` may see it."""


@pytest.fixture(scope="module")
def findings(items: list[TestItem], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Name of the change -> figure -> verdict against the recordings."""
    for package in ("distillmos", "speechmos", "resemblyzer", "swift_f0"):
        if not packages.installed(package):
            pytest.skip(f"the package {package} is not installed")
    folder = tmp_path_factory.mktemp("degraded")
    systems = []
    for change in (copy, *(change for change, _, _ in CAUGHT)):
        own = folder / change.__name__
        own.mkdir()
        for number, item in enumerate(items):
            assert item.audio is not None
            wave = read_audio(item.audio, sample_rate=RATE)
            changed = change(wave, item, np.random.default_rng(number))
            soundfile.write(own / f"{item.id}.wav", changed, RATE)
        systems.append(FolderSystem(own, name=change.__name__))
    found = evaluate(systems, items, settings=EvaluationSettings(), work=folder / "work")
    verdicts: dict[str, dict[str, str]] = {system.name: {} for system in systems}
    for finding in found.findings:
        against = "recordings" if finding.second == "copy" else "copy"
        if finding.first == against and finding.verdict:
            verdicts[finding.second][finding.figure] = finding.verdict
    return verdicts


def test_an_equal_copy_is_caught_by_nothing(findings: dict[str, dict[str, str]]) -> None:
    assert findings["copy"] == {}


@pytest.mark.parametrize(("change", "needed", "allowed"), CAUGHT, ids=[c.__name__ for c, _, _ in CAUGHT])
def test_it_is_caught_by_the_figure_meant_for_it(
    change: Change, needed: set[str], allowed: set[str], findings: dict[str, dict[str, str]]
) -> None:
    found = set(findings[change.__name__])
    assert needed - found == set(), "not caught"
    assert found - needed - allowed == set(), "caught by a figure that measures something else"
