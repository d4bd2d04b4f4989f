"""`import amtts`: the public Python interface."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_voice import make_corpus, tiny_voice, write_untrained

import amtts

TEXT = "ሰላም ለዓለም። ደህና ሁኑ።"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice(tmp_path_factory.mktemp("voice"))[1]


def test_importing_loads_neither_torch_nor_the_core() -> None:
    code = (
        "import sys, amtts; assert 'torch' not in sys.modules; assert 'amtts_core' not in sys.modules; "
        "amtts.normalize('27'); amtts.phonemize('ሰላም'); assert 'torch' not in sys.modules; print(dir(amtts))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in amtts.__all__:
        assert repr(name) in done.stdout
        assert getattr(amtts, name).__doc__, f"{name} is documented"


def test_text_functions() -> None:
    assert amtts.normalize("27 ብር") == "ሀያ ሰባት ብር"
    assert amtts.phonemize("ሰላም") == "səlam"


def test_a_voice_speaks_and_saves(run: Path, tmp_path: Path) -> None:
    voice = amtts.load(str(run))
    assert voice.sample_rate == 22050
    assert voice.backend == "chatterbox-mel"
    assert voice.language == "am"
    assert voice.speakers == ()
    seen: list[tuple[int, int]] = []
    speech = voice.speak(TEXT, on_progress=lambda done, total: seen.append((done, total)))
    assert speech.samples.dtype == np.float32
    assert seen[-1] == (2, 2)
    assert speech.duration == len(speech.samples) / speech.sample_rate
    assert [piece.text for piece in speech.pieces] == ["ሰላም ለአለም።", "ደህና ሁኑ።"]
    first, second = speech.pieces
    silence = speech.samples[first.end : second.start]
    assert len(silence) == round(0.35 * 22050)
    assert not silence.any()
    assert second.end == len(speech.samples)
    assert speech.samples[first.start : first.end].any()
    for name in ("a.wav", "b.flac"):
        assert speech.save(tmp_path / name) == tmp_path / name
        wave, rate = soundfile.read(tmp_path / name, dtype="float32")
        assert rate == 22050
        assert np.abs(wave - speech.samples).max() < 1e-4


def test_paths_and_strings_alike_and_streams_join_to_the_speech(run: Path) -> None:
    by_path, by_string = amtts.load(run), amtts.load(str(run))
    speech = by_path.speak(TEXT, seed=3)
    stream = by_string.stream(TEXT, seed=3)
    assert stream.sample_rate == speech.sample_rate
    assert np.abs(np.concatenate(list(stream)) - speech.samples).max() < 1e-4


def test_guesses_and_unread_characters_are_told(run: Path, tmp_path: Path) -> None:
    assert amtts.load(run).speak("የZorkk ነገር።").guesses == {"Zorkk": 1}
    settled = amtts.load(run, lexicon={"Zorkk": "ዞርኪ"})
    assert not settled.speak("የZorkk ነገር።").guesses
    assert "你" in amtts.load(run).speak("ሰላም 你").unread


def test_many_threads_speak_what_one_speaks(run: Path) -> None:
    voice = amtts.load(run)
    texts = [f"{'ሰላም ' * (1 + n % 4)}ለዓለም።" for n in range(16)]
    alone = [voice.speak(text, seed=n).samples for n, text in enumerate(texts)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda n: voice.speak(texts[n], seed=n).samples, range(16)))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vits", "chatterbox", "chatterbox-turbo", "indextts2"])
def test_threads_share_a_voice_of_every_backend(name: str, tmp_path: Path) -> None:
    write_untrained(name, tmp_path / "voice")
    voice = amtts.load(tmp_path / "voice")
    texts = [f"{'ሰላም ' * (1 + n % 4)}ለዓለም።" for n in range(8)]
    alone = [voice.speak(text, seed=n).samples for n, text in enumerate(texts)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda n: voice.speak(texts[n], seed=n).samples, range(8)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


MEMORY = """
import sys, amtts
voice = amtts.load(sys.argv[1])
for call in range(160):
    voice.speak("ሰላም " * (1 + call % 29) + "።", seed=call)
    if call in (59, 159):
        print(int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_is_flat_over_texts_of_any_length(tmp_path: Path) -> None:
    """Every length compiles kernels; a voice of VITS grew by a megabyte a call."""
    write_untrained("vits", tmp_path / "voice")

    def grown(**environment: str) -> float:
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(tmp_path / "voice")],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        )
        early, late = map(float, done.stdout.split())
        return late - early

    assert grown() < 50
    assert grown(ONEDNN_PRIMITIVE_CACHE_CAPACITY="1024") > 80, "what the environment says counts"


def test_mistakes_are_one_line_with_a_remedy(run: Path, tmp_path: Path) -> None:
    for wrong, said in ((tmp_path / "none", "does not exist"), (tmp_path, "neither a checkpoint")):
        with pytest.raises(amtts.AmttsError, match=said) as fault:
            amtts.load(wrong)
        assert "\n" not in str(fault.value)
    voice = amtts.load(run)
    with pytest.raises(amtts.AmttsError, match="unknown speaker 'x'"):
        voice.speak(TEXT, speaker="x")
    with pytest.raises(amtts.AmttsError, match="speed 9"):
        voice.stream(TEXT, speed=9)
    with pytest.raises(amtts.AmttsError, match="no letter"):
        voice.check("你好")
    with pytest.raises(amtts.AmttsError, match="'nonsense' cannot be used"):
        amtts.load(run, device="nonsense")
    with pytest.raises(amtts.AmttsError, match="is a path"):
        amtts.load(run, revision="main")


def test_train_and_evaluate(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    settings = {
        "training": {
            "max_steps": 2,
            "validate_every": 2,
            "save_every": 2,
            "sample_every": 0,
            "tensorboard": False,
        },
        "data": {"batch_seconds": 3.48},
    }
    result = amtts.train(
        corpus, str(tmp_path / "run"), backend="chatterbox-mel", preset="tiny", settings=settings, jobs=1
    )
    assert result.outcome.step == 2
    with pytest.raises(amtts.AmttsError, match="already holds a run"):
        amtts.train(corpus, tmp_path / "run", backend="chatterbox-mel", settings=settings)
    found = amtts.evaluate(
        tmp_path / "run",
        tmp_path / "found",
        manifest=corpus / "val.jsonl",
        limit=1,
        public_list=False,
        metrics=["signal"],
    )
    assert {summary.system for summary in found.summaries} == {"recordings", "run"}
    assert (tmp_path / "found" / "report.html").is_file()


def test_prepare_and_tokenize(tmp_path: Path) -> None:
    source = make_corpus(tmp_path / "made")
    rows = [f"{n:03d}.wav|ሰላም ለዓለም {'ና' * (n + 1)}።" for n in range(3)]
    (tmp_path / "in").mkdir()
    for n in range(3):
        (source / f"audio/u{n:03d}.wav").rename(tmp_path / "in" / f"{n:03d}.wav")
    (tmp_path / "in" / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    report = amtts.prepare(str(tmp_path / "in"), tmp_path / "data", settings={"sample_rate": 16000})
    assert (report.total, report.kept) == (3, 3)
    assert amtts.tokenize(tmp_path / "data") == tmp_path / "data" / "tokenizer"
    with pytest.raises(amtts.AmttsError, match="sample_rte: unknown"):
        amtts.prepare(tmp_path / "in", tmp_path / "other", settings={"sample_rte": 1})


def test_the_base_voice_is_loaded_by_its_name_and_its_pitch_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Path(__file__).parents[2] / "examples" / "base" / "voice"
    if not base.is_dir():
        pytest.skip("examples/base/voice is not there")
    swift_f0 = pytest.importorskip("swift_f0")
    monkeypatch.chdir(tmp_path)
    voice = amtts.load("base")
    middle = []
    for semitones in (0.0, 6.0):
        speech = voice.speak("ሰላም ለዓለም።", pitch=semitones)
        found = swift_f0.SwiftF0(threads=1, spin=False).detect(speech.samples, speech.sample_rate, 50, 550)
        middle.append(np.median(found.pitch_hz[found.confidence > 0.5]))
    assert 4.5 < 12 * np.log2(middle[1] / middle[0]) < 7.5
    ends = []
    for semitones in (0.0, 6.0):
        speech = voice.speak("ልጆቹ ከትምህርት ቤት መጡ?", question_rise=semitones)
        found = swift_f0.SwiftF0(threads=1, spin=False).detect(speech.samples, speech.sample_rate, 50, 550)
        ends.append(np.mean(12 * np.log2(found.pitch_hz[found.confidence > 0.5][-5:])))
    assert 3 < ends[1] - ends[0] < 8
