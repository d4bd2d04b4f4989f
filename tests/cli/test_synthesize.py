"""`amtts synthesize`: where the text comes from, where the audio goes, and what is refused before any work."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import Done, call
from tiny_vocoder import tiny_vocoder
from tiny_voice import tiny_backend, tiny_voice

from amtts_core.checkpoints.write_backend import write_backend

TEXT = "ሰላም ለዓለም።"
BASE = Path(__file__).parents[2] / "examples/base/voice"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice(tmp_path_factory.mktemp("voice"))[1]


def speak(run: Path, out: Path, *arguments: object, stdin: str | bytes | None = None) -> Done:
    return call("synthesize", "--checkpoint", run, "--out", out, *arguments, stdin=stdin)


def audio(path: Path) -> np.ndarray:
    wave, rate = soundfile.read(path, dtype="float32")
    assert rate == 22050
    assert np.sqrt(np.mean(wave**2)) > 1e-3, "it is audible"
    return wave


# ---- text in ----


def test_a_text_argument(run: Path, tmp_path: Path) -> None:
    done = speak(run, tmp_path / "a.wav", TEXT)
    assert done.code == 0, done.err
    assert str(tmp_path / "a.wav") in done.out
    assert "real-time factor" in done.out
    audio(tmp_path / "a.wav")


def test_argument_file_and_pipe_say_the_same(run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT + "\n", encoding="utf-8-sig")
    assert speak(run, tmp_path / "a.wav", TEXT).code == 0
    assert speak(run, tmp_path / "b.wav", "--file", tmp_path / "text.txt").code == 0
    assert speak(run, tmp_path / "c.wav", stdin=TEXT).code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()


def test_a_lexicon_settles_what_is_read_by_guess(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("Zorkk\tዞርኪ\n", encoding="utf-8")
    guessed = speak(run, tmp_path / "a.wav", "የZorkk ነገር።")
    assert guessed.code == 0, guessed.err
    assert "read by guess: Zorkk 1; --lexicon FILE" in guessed.err
    settled = speak(run, tmp_path / "b.wav", "--lexicon", tmp_path / "mine.tsv", "የZorkk ነገር።")
    assert settled.code == 0, settled.err
    assert "read by guess" not in settled.err
    assert (tmp_path / "a.wav").read_bytes() != (tmp_path / "b.wav").read_bytes()
    assert speak(run, tmp_path / "c.wav", "የዞርኪ ነገር።").code == 0
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()


def test_words_without_quotation_marks_are_one_text(run: Path, tmp_path: Path) -> None:
    assert speak(run, tmp_path / "a.wav", "ሰላም", "ለዓለም።").code == 0
    assert speak(run, tmp_path / "b.wav", TEXT).code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


# ---- audio out ----


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_the_format_follows_the_name(run: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"a.{ending}"
    assert speak(run, path, TEXT).code == 0
    audio(path)


def test_a_folder_gets_one_file_a_line_and_a_list(run: Path, tmp_path: Path) -> None:
    lines = ["ለመሰረ በተነአ።", "", "  ከወደገ | ለመሰረ።  "]
    done = speak(run, tmp_path / "out", "--json", stdin="\n".join(lines))
    assert done.code == 0, done.err
    names = ["0001.wav", "0002.wav"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [*names, "metadata.csv", "speech.jsonl"]
    table = (tmp_path / "out/metadata.csv").read_text(encoding="utf-8").splitlines()
    assert table == ["audio_file|text", "0001.wav|ለመሰረ በተነአ።", "0002.wav|ከወደገ ለመሰረ።"]
    report = done.json()
    assert [Path(row["path"]).name for row in report["files"]] == names
    seconds = [len(audio(tmp_path / "out" / name)) / 22050 for name in names]
    assert report["seconds"] == pytest.approx(sum(seconds), abs=0.02)
    assert [float(row["seconds"]) for row in report["files"]] == pytest.approx(seconds, abs=0.01)
    assert report["sample_rate"] == 22050
    assert report["real_time_factor"] > 0


def test_a_long_text_is_spoken_whole(run: Path, tmp_path: Path) -> None:
    assert speak(run, tmp_path / "one.wav", "ለመሰረ በተነአ።").code == 0
    assert speak(run, tmp_path / "many.wav", stdin="ለመሰረ በተነአ። " * 20).code == 0
    one, many = len(audio(tmp_path / "one.wav")), len(audio(tmp_path / "many.wav"))
    assert many == pytest.approx(20 * one + 19 * 0.35 * 22050, rel=0.02)


def test_json_is_the_only_thing_on_standard_output(run: Path, tmp_path: Path) -> None:
    done = speak(run, tmp_path / "a.wav", TEXT, "--json")
    assert done.json()["files"][0]["text"] == TEXT


def test_speed_and_seed(run: Path, tmp_path: Path) -> None:
    text = "ለመሰረ በተነአ ከወደገ ለመሰረ።"
    assert speak(run, tmp_path / "a.wav", text, "--seed", 3).code == 0
    assert speak(run, tmp_path / "b.wav", text, "--seed", 3).code == 0
    assert speak(run, tmp_path / "c.wav", text, "--seed", 4).code == 0
    assert speak(run, tmp_path / "d.wav", text, "--speed", 0.5).code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert (tmp_path / "a.wav").read_bytes() != (tmp_path / "c.wav").read_bytes()
    assert len(audio(tmp_path / "d.wav")) > 1.6 * len(audio(tmp_path / "a.wav"))


def test_letters_that_are_left_out_are_told(run: Path, tmp_path: Path) -> None:
    done = speak(run, tmp_path / "a.wav", "ሰላም Ж ለዓለም Ж።")
    assert done.code == 0
    assert "'Ж' x 2" in done.err
    assert "Ж" not in done.out


# ---- refused ----


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--speed", 9), ("speed 9 is out of range", "0.25 to 4")),
        (("--speed", 0), ("speed 0 is out of range",)),
        (("--speed", "nan"), ("speed nan is out of range",)),
        (("--speaker", "sara"), ("unknown speaker 'sara'",)),
        (("--device", "warp"), ("device 'warp' cannot be used",)),
        (("--device", "cuda:99"), ("device 'cuda:99' cannot be used",)),
        (("--file", "other.txt"), ("either a text or --file",)),
    ],
)
def test_options_that_cannot_be(
    run: Path, tmp_path: Path, arguments: tuple[object, ...], said: tuple[str, ...]
) -> None:
    speak(run, tmp_path / "a.wav", TEXT, *arguments).refused(*said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", [-1, 2**64, "x"])
def test_seeds_that_cannot_be(run: Path, tmp_path: Path, seed: object) -> None:
    done = speak(run, tmp_path / "a.wav", TEXT, "--seed", seed)
    assert done.code == 2
    assert "--seed" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.txt", "unknown ending '.txt'"),
        ("a.wav.bak", "unknown ending '.bak'"),
        ("folder.wav", "is a folder"),
        ("file", "is a file without an audio ending"),
        ("file/a.wav", "is a file, so"),
        ("file/deep/a.wav", "is a file, so"),
        ("file/deep", "is a file, so"),
    ],
)
def test_places_that_cannot_be(run: Path, tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").write_text("precious")
    speak(run, tmp_path / name, TEXT).refused(said)
    assert (tmp_path / "file").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder.wav"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        ("።።።".encode(), "nothing to speak"),
        ("ЖЖЖ".encode(), "no letter of 'ЖЖЖ' is known"),
        ("🙂".encode(), "nothing to speak"),
        (b"\xff\xfe\xfa\xfb\xfc", ""),
        (b"\x80\x81\x82", ""),
    ],
)
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_texts_that_cannot_be_spoken(run: Path, tmp_path: Path, content: bytes, said: str, way: str) -> None:
    source = tmp_path / "text.txt"
    source.write_bytes(content)
    if way == "file":
        done = speak(run, tmp_path / "a.wav", "--file", source)
    else:
        done = speak(run, tmp_path / "a.wav", stdin=content)
    done.refused(said)
    assert not (tmp_path / "a.wav").exists()


def test_text_files_that_are_none(run: Path, tmp_path: Path) -> None:
    speak(run, tmp_path / "a.wav", "--file", tmp_path / "none.txt").refused("none.txt", "No such file")
    speak(run, tmp_path / "a.wav", "--file", tmp_path).refused(str(tmp_path), "directory")


def test_bytes_that_are_no_text_on_the_command_line(run: Path, tmp_path: Path) -> None:
    broken = "ሰላም\udcff"  # what Python makes of a stray byte in an argument
    speak(run, tmp_path / "a.wav", broken).refused("not UTF-8")


def test_a_line_without_letters_stops_a_folder_before_the_first_file(run: Path, tmp_path: Path) -> None:
    done = speak(run, tmp_path / "out", stdin=f"{TEXT}\n\n***\n{TEXT}")
    done.refused("line 3: nothing to speak in '***'")
    assert speak(run, tmp_path / "out.v2", TEXT).code == 0  # a number is no audio ending
    assert (tmp_path / "out.v2/0001.wav").is_file()
    speak(run, tmp_path / "out", stdin=f"{TEXT}\nЖЖ").refused("line 2: no letter of 'ЖЖ' is known")
    assert not (tmp_path / "out").exists()


def test_no_text_at_all_on_a_terminal(run: Path, tmp_path: Path) -> None:
    done = call("synthesize", "--checkpoint", run, "--out", tmp_path / "a.wav", terminal=True)
    done.refused("no text to speak", "--file")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, ("does not exist", "amtts train")),
        (lambda p: p.write_text("x"), ("is a file; expected a checkpoint folder",)),
        (lambda p: p.mkdir(), ("is neither a checkpoint", "nor a run folder")),
    ],
    ids=["missing", "file", "folder"],
)
def test_checkpoints_that_are_none(tmp_path: Path, make: object, said: tuple[str, ...]) -> None:
    make(tmp_path / "run")  # type: ignore[operator]
    speak(tmp_path / "run", tmp_path / "a.wav", TEXT).refused(*said)


def test_a_damaged_checkpoint(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(run / "checkpoints/step-00000060", tmp_path / "copy"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    speak(copy, tmp_path / "a.wav", TEXT).refused("is damaged", "model.safetensors has")


# ---- sound while it is spoken ----


def test_a_pipe_hears_what_a_file_holds(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "amtts_cli", "synthesize", "--checkpoint", str(run), TEXT, "--out", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert speak(run, tmp_path / "a.wav", TEXT).code == 0
    heard, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    assert rate == 22050
    np.testing.assert_allclose(heard, audio(tmp_path / "a.wav"), atol=1e-3)
    assert b"first sound after" in done.stderr
    speak(run, Path("-"), TEXT, "--json").refused("--json goes there as well")


def test_settings_of_the_network_at_speaking(run: Path, tmp_path: Path) -> None:
    few = ["--set", "model.griffin_lim_iterations=1"]
    assert speak(run, tmp_path / "a.wav", TEXT).code == 0
    assert speak(run, tmp_path / "b.wav", TEXT, *few).code == 0
    assert (tmp_path / "a.wav").read_bytes() != (tmp_path / "b.wav").read_bytes()
    speak(run, tmp_path / "c.wav", TEXT, "--set", "model.mel.mels=7").refused("model.mel of a trained")
    speak(run, tmp_path / "c.wav", TEXT, "--set", "training.seed=7").refused("--set training")
    speak(run, tmp_path / "c.wav", TEXT, "--set", "model.griffin_lim_iterations=no").refused("griffin_lim")
    assert not (tmp_path / "c.wav").exists()


def test_attention_that_is_not_there(run: Path, tmp_path: Path) -> None:
    done = speak(run, tmp_path / "a.wav", TEXT, "--attention", tmp_path / "seen")
    done.refused("'chatterbox-mel' has no attention", "Leave --attention out")
    done = speak(run, Path("-"), TEXT, "--attention", tmp_path / "seen")
    done.refused("'chatterbox-mel' has no attention", "Leave --attention out")
    assert not list(tmp_path.iterdir())


def test_attention_is_drawn_for_a_file_and_for_a_pipe(tmp_path: Path) -> None:
    write_backend(tmp_path / "t3", tiny_backend("chatterbox"))
    few = ["--set", "model.sampling.retries=0", "--set", "model.sampling.most_per_symbol=2"]
    for name, out in (("file", tmp_path / "a.wav"), ("pipe", Path("-"))):
        done = speak(tmp_path / "t3", out, TEXT + TEXT, *few, "--attention", tmp_path / name)
        assert done.code == 0, done.err
        assert f"{tmp_path / name / '0002.png'}: " in done.err
    assert done.raw.startswith(b"RIFF")
    for number in ("0001.png", "0002.png"):
        assert (tmp_path / "pipe" / number).read_bytes() == (tmp_path / "file" / number).read_bytes()


def test_a_vocoder_of_the_command_line_is_used_and_a_wrong_one_told(run: Path, tmp_path: Path) -> None:
    plain, other = tmp_path / "a.wav", tmp_path / "b.wav"
    vocoder = tiny_vocoder(tmp_path / "vocoder")
    for path, choice in ((plain, "griffin-lim"), (other, vocoder)):
        assert speak(run, path, "ሰላም።", "--vocoder", choice).code == 0
    assert plain.read_bytes() != other.read_bytes()
    result = speak(run, plain, "ሰላም።", "--vocoder", tmp_path / "none")
    assert result.code == 2
    assert "no vocoder has this name" in result.err


# ---- word times ----


@pytest.mark.parametrize("form", ["srt", "vtt", "json"])
def test_word_times_show_words_as_they_were_written(tmp_path: Path, form: str) -> None:
    """The voice that comes along says 12 as አስራ ሁለት; the caption is 12, and as long as both words."""
    speak(BASE, tmp_path / "a.wav", "--timestamps", form, "ዛሬ 12 ሰዎች መጡ።")
    told = (tmp_path / f"a.{form}").read_text(encoding="utf-8")
    if form == "json":
        rows = json.loads(told)
        assert [row["text"] for row in rows] == ["ዛሬ", "12", "ሰዎች", "መጡ።"]
        assert [row.get("spoken") for row in rows] == [None, "አስራ ሁለት", None, None]
        times = [row[edge] for row in rows for edge in ("start", "end")]
    else:
        blocks = told.removeprefix("WEBVTT\n\n").strip().split("\n\n")
        assert [block.splitlines()[-1] for block in blocks] == ["ዛሬ", "12", "ሰዎች", "መጡ።"]
        assert told.startswith("WEBVTT\n\n") == (form == "vtt")
        seconds = re.findall(r"00:00:(\d\d[,.]\d{3})", told)
        assert all(("," in second) == (form == "srt") for second in seconds)
        times = [float(second.replace(",", ".")) for second in seconds]
    assert times == sorted(times)
    lengths = [end - start for start, end in zip(times[::2], times[1::2], strict=True)]
    assert lengths[1] == max(lengths) > 0.6
    assert times[-1] <= soundfile.info(tmp_path / "a.wav").duration
