"""Predicted quality and speaker vectors against what the packages themselves computed on the same recordings."""

import sys
from pathlib import Path

import numpy as np
import pytest

from amtts_core.audio.io import read_audio
from amtts_core.errors import AmttsError
from amtts_core.evaluation import packages, quality
from amtts_core.evaluation.speaker_similarity import similarity, speaker_encoder

CORPUS = Path(__file__).parents[3] / "examples" / "corpus" / "audio"


@pytest.fixture(scope="module")
def waves():
    return [read_audio(CORPUS / f"{number:03}.ogg", sample_rate=16_000) for number in (1, 2, 3)]


def need(package):
    if not packages.installed(package):
        pytest.skip(f"the package {package} is not installed")


def test_dnsmos_is_that_of_speechmos(waves):
    """speechmos 0.0.1.1, `dnsmos.run` on 001.ogg, and on 001 to 003 in a row."""
    need("speechmos")
    score = quality.dnsmos()
    one = score(waves[0])
    assert one["overall"] == pytest.approx(3.142426278936592, abs=2e-3)
    assert one["signal"] == pytest.approx(3.36517176472534, abs=2e-3)
    assert one["background"] == pytest.approx(4.093666290012133, abs=2e-3)
    three = score(np.concatenate(waves))
    assert three["overall"] == pytest.approx(3.0837298394458794, abs=2e-3)


def test_distillmos_needs_no_torchaudio(waves):
    """distillmos 0.9.1, its own reading of files (`distillmos FILE`), of 001.ogg, and of 001 to 003 in a row."""
    need("distillmos")
    before = "torchaudio" in sys.modules
    score = quality.distillmos()
    assert ("torchaudio" in sys.modules) == before
    assert score(waves[0]) == pytest.approx(2.28223, abs=2e-3)
    assert score(np.concatenate(waves)) == pytest.approx(2.81075, abs=2e-3)  # a mean over several windows


def test_speaker_vectors_are_those_of_resemblyzer(waves):
    """Resemblyzer 0.1.4, `VoiceEncoder.embed_utterance` of 001 and 002, and of 001 to 003 in a row."""
    need("resemblyzer")
    encoder = speaker_encoder()
    first, second, long = (encoder.embed(w) for w in (waves[0], waves[1], np.concatenate(waves)))
    assert similarity(first, second) == pytest.approx(0.9613077640533447, abs=1e-4)
    assert first[[248, 138, 158, 197]] == pytest.approx([0.24324, 0.24215, 0.22606, 0.19545], abs=1e-4)
    assert long[[138, 248, 125, 197]] == pytest.approx([0.25793, 0.23689, 0.21213, 0.20379], abs=1e-4)


def test_silence_has_no_speaker():
    need("resemblyzer")
    with pytest.raises(AmttsError, match="with sound in it"):
        speaker_encoder().embed(np.zeros(16_000, dtype=np.float32))


def test_a_missing_package_is_one_line_with_its_remedy(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AmttsError, match=r"DNSMOS needs the package 'speechmos'.*pip install"):
        quality.dnsmos()
    with pytest.raises(AmttsError, match=r"DistillMOS needs the package.*--no-deps"):
        quality.distillmos()
