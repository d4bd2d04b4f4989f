"""The bundled corpus keeps its promises, and make_corpus.py makes another one."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import soundfile

CORPUS = Path(__file__).resolve().parents[2] / "examples" / "corpus"
SENTENCE = re.compile(r"[\u1200-\u135A ።፣፤?!]+")
COMMON_ROWS = "ሀለመረሰሸቀበተቸነኘከወዘዠየደጀገጠጨጸፈፐሠፀቨ"
LABIALISED = "ሏሟሯሷሿቋቧቷቿኋኗኟኳዟዷጇጓጧጯጿፏ"


def lines(name: str) -> list[str]:
    return (CORPUS / name).read_text(encoding="utf-8").splitlines()


def words(sentence: str) -> list[str]:
    return re.sub(r"[።፣፤?!]", " ", sentence).split()


def sequences(sentence: str, size: int) -> set[tuple[str, ...]]:
    spoken = words(sentence)
    return {tuple(spoken[i : i + size]) for i in range(len(spoken) - size + 1)}


def metadata(folder: Path) -> list[list[str]]:
    return [line.split("|") for line in (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def corpus_text() -> ModuleType:
    spec = importlib.util.spec_from_file_location("corpus_text", CORPUS / "corpus_text.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def espeak() -> None:
    if not (shutil.which("espeak-ng") or importlib.util.find_spec("espeakng_loader")):
        pytest.skip("neither the program espeak-ng nor the package espeakng-loader is installed")


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CORPUS / "make_corpus.py"), *map(str, arguments)]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env, timeout=300)


# The bundled corpus


def test_metadata_audio_and_sentences_agree() -> None:
    header, *rows = metadata(CORPUS)
    assert header == ["audio_file", "text"]
    assert [text for _, text in rows] == lines("sentences.txt")
    assert [name for name, _ in rows] == sorted(f"audio/{path.name}" for path in (CORPUS / "audio").iterdir())
    assert 300 <= len(rows) <= 400


def test_length_format_and_size() -> None:
    paths = sorted((CORPUS / "audio").glob("*.ogg"))
    sounds = [soundfile.info(path) for path in paths]
    assert {(sound.samplerate, sound.channels, sound.subtype) for sound in sounds} == {(22050, 1, "VORBIS")}
    assert 20 <= sum(sound.duration for sound in sounds) / 60 <= 30
    assert all(1.5 < sound.duration < 8 for sound in sounds)
    assert sum(path.stat().st_size for path in paths) <= 15e6


def test_audio_says_that_it_is_synthetic() -> None:
    _, (name, text), *_ = metadata(CORPUS)
    with soundfile.SoundFile(CORPUS / name) as sound:
        assert (sound.title, sound.artist) == (text, "eSpeak NG 1.52.0 (synthetic voice)")


@pytest.mark.parametrize("name", ["sentences.txt", "heldout.txt"])
def test_sentences_are_ethiopic_and_distinct(name: str) -> None:
    sentences = lines(name)
    assert [s for s in sentences if not SENTENCE.fullmatch(s) or s[-1] not in "።?!"] == []
    assert len(set(sentences)) == len(sentences)


def test_no_sentence_is_a_near_copy_of_another() -> None:
    seen = Counter(piece for sentence in lines("sentences.txt") for piece in sequences(sentence, 3))
    assert [piece for piece, count in seen.items() if count > 1] == []


def test_every_order_of_the_common_rows_occurs_three_times() -> None:
    count = Counter("".join(lines("sentences.txt")))
    syllables = [chr(ord(first) + order) for first in COMMON_ROWS for order in range(7)]
    assert {s: count[s] for s in syllables if count[s] < 3} == {}
    assert {s: count[s] for s in LABIALISED if count[s] < 2} == {}


def test_heldout_is_text_of_its_own() -> None:
    heldout = lines("heldout.txt")
    known = {piece for sentence in lines("sentences.txt") for piece in sequences(sentence, 4)}
    assert len(heldout) == 30
    assert [s for s in heldout if sequences(s, 4) & known] == []
    assert set("".join(heldout)) <= set("".join(lines("sentences.txt")))


# make_corpus.py


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("፩", 1), ("፲፪", 12), ("፻", 100), ("፲፱፻፹፬", 1984), ("፳፻፲፮", 2016), ("፼", 10_000), ("፳፼፭", 200_005)],
)
def test_ethiopic_numerals(corpus_text: ModuleType, numeral: str, value: int) -> None:
    assert corpus_text.ethiopic_value(numeral) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "ዜሮ"),
        (10, "አስር"),
        (14, "አስራ አራት"),
        (365, "ሦስት መቶ ስልሳ አምስት"),
        (1984, "አንድ ሺህ ዘጠኝ መቶ ሰማንያ አራት"),
        (3_000_000_005, "ሦስት ቢሊዮን አምስት"),
    ],
)
def test_number_words(corpus_text: ModuleType, value: int, said: str) -> None:
    assert corpus_text.number_words(value) == said


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("በ፲፪ ሰዓት፡፡", "በአስራ ሁለት ሰዓት።"),
        ("«ሰላም», አለ።", "ሰላም፣ አለ።"),
        ("ዋጋው 250 ብር ነው", "ዋጋው ሁለት መቶ ሃምሳ ብር ነው"),
        ("1ኛ ወጣ።", ""),
        ("ዋጋው 2.5 ነው።", ""),
        ("ስልክ 0911", ""),
        ("hello ሰላም", ""),
        ("ቐ", ""),
        ("።", ""),
    ],
)
def test_text_is_made_speakable_or_refused(corpus_text: ModuleType, line: str, text: str) -> None:
    spoken, reason = corpus_text.speakable(line)
    assert spoken == text
    assert bool(reason) == (not text)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "three.txt"
    path.write_text("ሰላም ለዓለም።\nበ፲፪ ሰዓት ና።\nwrong\nቡና ጠጣ፣ ዳቦ ብላ።\n", encoding="utf-8")
    return path


@pytest.mark.usefixtures("espeak")
def test_makes_keeps_and_repeats_a_corpus(three: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    first = run("--text", three, "--out", out)
    assert first.returncode == 0, first.stderr
    assert "left out 1 of 4 lines" in first.stdout
    assert metadata(out) == [
        ["audio_file", "text"],
        ["audio/001.ogg", "ሰላም ለዓለም።"],
        ["audio/002.ogg", "በአስራ ሁለት ሰዓት ና።"],
        ["audio/003.ogg", "ቡና ጠጣ፣ ዳቦ ብላ።"],
    ]
    assert all(soundfile.info(out / name).duration > 0.8 for name, _ in metadata(out)[1:])
    assert "(0 new, 3 kept)" in run("--text", three, "--out", out).stdout
    run("--text", three, "--out", again, "--jobs", 1)
    for path in sorted((out / "audio").iterdir()):
        assert path.read_bytes() == (again / "audio" / path.name).read_bytes()


@pytest.mark.usefixtures("espeak")
def test_minutes_go_round_with_the_next_voice(three: Path, tmp_path: Path) -> None:
    voices = ("--voices", "am,am+f3", "--format", "flac")
    done = run("--text", three, "--out", tmp_path, "--minutes", 0.15, *voices)
    assert done.returncode == 0, done.stderr
    header, *rows = metadata(tmp_path)
    assert header == ["audio_file", "text", "speaker_name"]
    assert [row[2] for row in rows][:4] == ["am", "am", "am", "am+f3"]
    seconds = [soundfile.info(tmp_path / row[0]).duration for row in rows]
    assert sum(seconds[:-1]) < 9 <= sum(seconds)
    assert len(list((tmp_path / "audio").iterdir())) == len(rows)


@pytest.mark.usefixtures("espeak")
def test_too_little_text_for_the_minutes_is_said(three: Path, tmp_path: Path) -> None:
    done = run("--text", three, "--out", tmp_path, "--minutes", 5)
    assert done.returncode == 2
    assert "of 5 minutes" in done.stderr
    assert len(metadata(tmp_path)) == 1 + 3 * 5


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.usefixtures("espeak")
def test_unknown_voice(three: Path, tmp_path: Path) -> None:
    assert "'am+nobody'" in one_line_error(run("--text", three, "--out", tmp_path, "--voices", "am+nobody"))


def test_missing_text_file(tmp_path: Path) -> None:
    error = one_line_error(run("--text", tmp_path / "none.txt", "--out", tmp_path / "out"))
    assert "none.txt" in error
    assert "--text" in error


def test_missing_column(tmp_path: Path) -> None:
    done = run("--text", CORPUS / "metadata.csv", "--column", "txt", "--out", tmp_path / "out")
    assert "audio_file, text" in one_line_error(done)


@pytest.mark.usefixtures("espeak")
def test_out_that_is_a_file(three: Path) -> None:
    assert "another --out" in one_line_error(run("--text", three, "--out", three))


def test_missing_espeak(three: Path, tmp_path: Path) -> None:
    done = run("--text", three, "--out", tmp_path / "out", "--engine", "program", PATH=str(tmp_path))
    assert "espeak-ng is not installed; run `pip install espeakng-loader`" in one_line_error(done)
