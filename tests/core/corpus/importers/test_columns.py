"""Columns are told apart by what they hold; what cannot be told is asked for; a person's word counts before all."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call
from prepared import rows
from recordings import SENTENCES, speech, write_wav
from sources import clips, make_files

from amtts_core.corpus.importers import Clip, ReadOptions, choose_importer
from amtts_core.corpus.settings import parse_columns
from amtts_core.errors import AmttsError, ConfigError

TEXTS = SENTENCES[:6]
IPA = ("səlam", "gəbəja", "lɨʤ", "ɨnate", "zɨnab", "awtobus")


def table(
    folder: Path,
    *columns: tuple[str, ...],
    header: str = "",
    separator: str = "|",
    name: str = "metadata.csv",
) -> Path:
    """A folder with wavs/0.wav to wavs/5.wav and a table of columns; `n` stands for the row's number."""
    lines = [header] if header else []
    for n in range(6):
        lines.append(separator.join(column[n % len(column)].replace("{n}", str(n)) for column in columns))
    files = {f"wavs/{n}.wav": "x" for n in range(6)}
    return make_files(folder, {**files, name: "\n".join(lines) + "\n"})


def read(source: Path, **more: object) -> list[Clip]:
    options = ReadOptions(**more)  # type: ignore[arg-type]
    found = list(choose_importer(source, options=options).read(source, options).entries)
    assert all(isinstance(entry, Clip) for entry in found), found
    return [entry for entry in found if isinstance(entry, Clip)]


def summary(source: Path) -> str:
    return choose_importer(source).read(source).summary


FILE = ("wavs/{n}.wav",)
SHORT = ("እሺ።", "ሰላም።", "ደህና።", "ቡና።", "ውሃ።", "ና።")


@pytest.mark.parametrize(
    "names", [("narrator_male_1", "narrator_female_2"), ("አበበ ከበደ", "አልማዝ ታደሰ"), ("0", "1")]
)
@pytest.mark.parametrize("texts", [TEXTS, SHORT])
@pytest.mark.parametrize("name_first", [True, False])
def test_speaker_and_text_whatever_their_lengths(
    tmp_path: Path, names: tuple[str, ...], texts: tuple[str, ...], name_first: bool
):
    columns = (FILE, names, texts) if name_first else (FILE, texts, names)
    found = read(table(tmp_path, *columns))
    assert [clip.text for clip in found] == list(texts)
    assert [clip.speaker for clip in found] == [names[n % 2] for n in range(6)]
    assert not any(clip.spoken for clip in found)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ((FILE, TEXTS, IPA), "1 audio, 2 text, 3 not used: (in another script)"),
        ((FILE, ("abebe",), ("AM",), TEXTS), "1 audio, 2 speaker (1 name), 3 language, 4 text"),
        ((FILE, ("0",), TEXTS, ("_",)), "1 audio, 2 speaker (1 name), 3 text, 4 not used: (empty)"),
        ((FILE, ("",), TEXTS), "1 audio, 2 not used: (empty), 3 text"),
        ((("0", "1", "2", "3", "4", "5"), FILE, TEXTS), "1 not used: (numbers the rows), 2 audio, 3 text"),
        ((FILE, TEXTS, ("train", "dev")), "1 audio, 2 text, 3 not used: (splits; amtts makes its own)"),
        ((FILE, TEXTS, TEXTS, ("አበበ", "አልማዝ")), "1 audio, 2 text, 3 normalized text, 4 speaker (2 names)"),
    ],
)
def test_the_decision_is_one_line(tmp_path: Path, columns: tuple[tuple[str, ...], ...], told: str):
    source = table(tmp_path, *columns)
    assert told in summary(source)
    assert "first row: " in summary(source)
    assert [clip.text for clip in read(source)] == list(TEXTS)


def test_what_cannot_be_told_is_asked_for(tmp_path: Path):
    names = ("አበበ ከበደ", "አልማዝ ታደሰ", "ሰናይት በቀለ", "ዳዊት ግርማ", "ሄለን ተስፋዬ", "ዮሐንስ አየለ")
    source = table(tmp_path, FILE, TEXTS, names)
    with pytest.raises(AmttsError, match=r"columns 2 and 3 both hold text") as asked:
        choose_importer(source)
    assert "--columns audio=1,text=2,speaker=3" in asked.value.remedy
    found = read(source, columns={"audio": "1", "text": "2", "speaker": "3"})
    assert [(clip.text, clip.speaker) for clip in found] == list(zip(TEXTS, names, strict=True))
    with pytest.raises(AmttsError, match=r"--columns text=7: .* has 3 columns"):
        read(source, columns={"text": "7"})


@pytest.mark.parametrize(
    "header",
    [
        "ፋይል|ጽሑፍ",
        "Datei|Satz",
        "File name|Sentence (Amharic)",
        "audio_path|text_am",
        "recording_filename|what is said",
    ],
)
def test_headers_of_other_people(tmp_path: Path, header: str):
    source = table(tmp_path, FILE, TEXTS, header=header)
    assert [clip.text for clip in read(source)] == list(TEXTS)


def test_columns_by_their_names(tmp_path: Path):
    source = table(tmp_path, IPA, FILE, TEXTS, ("x",), header="text|wav|am|who")
    found = read(source, columns={"text": "am", "speaker": "who"})
    assert [(clip.text, clip.speaker) for clip in found] == [(text, "x") for text in TEXTS]


def test_of_two_columns_with_a_texts_name_the_one_in_the_language_is_read(tmp_path: Path):
    source = table(tmp_path, FILE, IPA, TEXTS, header="file|text|transcription")
    assert [clip.text for clip in read(source)] == list(TEXTS)
    source = table(tmp_path / "n", FILE, TEXTS, IPA, header="file|text|normalized_text")
    assert [(clip.text, clip.spoken) for clip in read(source)] == [(text, "") for text in TEXTS]
    assert "3 not used: normalized_text (in another script)" in summary(source)


def test_other_languages_are_set_aside(tmp_path: Path):
    source = table(
        tmp_path, FILE, TEXTS, ("am", "en", "amh", "am-ET", "Amharic", "ti"), header="path|text|locale"
    )
    found = list(choose_importer(source).read(source).entries)
    assert [getattr(entry, "finding", None) and entry.finding.rule for entry in found] == [  # type: ignore[union-attr]
        None,
        "other-language",
        None,
        None,
        None,
        "other-language",
    ]


def test_channels_of_a_table(tmp_path: Path):
    for names, numbers in ((("0", "1"), [0, 1]), (("1", "2"), [0, 1]), (("left", "right"), [0, 1])):
        source = table(tmp_path, FILE, TEXTS, names, header="path|text|channel")
        assert [clip.channel for clip in read(source)] == numbers * 3
        assert {clip.channel for clip in read(source, channel=1)} == {1}


def test_columns_reach_the_corpus_from_the_command_line(tmp_path: Path):
    for n in range(4):
        write_wav(tmp_path / f"in/{n}.wav", speech(n, seconds=1.0))
    lines = [f"{n}.wav|{SENTENCES[n]}|{SENTENCES[n + 4]}" for n in range(4)]
    make_files(tmp_path / "in", {"list.txt": "\n".join(lines)})
    call("prepare", tmp_path / "in", "--out", tmp_path / "out").refused("columns 2 and 3 both hold text")
    done = call(
        "prepare", tmp_path / "in", "--out", tmp_path / "out", "--jobs", 1, "--columns", "audio=1,text=3"
    )
    assert done.code == 0, done.err
    assert "1 audio, 2 not used, 3 text" in done.err
    assert [row["text"] for row in rows(tmp_path / "out/manifest.jsonl")] == list(SENTENCES[4:8])
    wrong = call("prepare", tmp_path / "in", "--out", tmp_path / "other", "--columns", "audio=1,txt=3")
    wrong.refused("unknown txt (did you mean 'text'?)")


def test_columns_are_written_as_role_and_column():
    assert parse_columns("audio=1, normalized=3,id=name") == {"audio": "1", "spoken": "3", "name": "name"}
    assert parse_columns("") == {}
    with pytest.raises(ConfigError, match="'3' is not of the form role=column"):
        parse_columns("audio=1,3")


@pytest.mark.parametrize(
    ("cells", "speakers"),
    [
        (("sad|abebe", "happy|abebe", "sad|abebe", "happy|abebe"), ["abebe"] * 4),
        (("female|s1", "male|s2", "female|s1", "male|s2"), ["s1", "s2"] * 2),
        (("female|", "male|", "female|", "male|"), ["female", "male"] * 2),
    ],
)
def test_manners_and_genders_are_nobody_where_people_are_named(
    tmp_path: Path, cells: tuple[str, ...], speakers: list[str]
):
    lines = [f"wavs/{n}.wav|{SENTENCES[n]}|{cell}" for n, cell in enumerate(cells)]
    make_files(tmp_path, {**{f"wavs/{n}.wav": "x" for n in range(4)}, "metadata.csv": "\n".join(lines)})
    assert [clip.speaker for clip in clips(tmp_path)] == speakers


def test_the_column_with_the_languages_name_is_the_text(tmp_path: Path):
    lines = [f"wavs/{n}.wav|{SENTENCES[n + 4]}|{SENTENCES[n]}" for n in range(4)]
    table = "\n".join(["file|tigrinya|amharic", *lines])
    make_files(tmp_path, {**{f"wavs/{n}.wav": "x" for n in range(4)}, "metadata.csv": table})
    assert [clip.text for clip in clips(tmp_path)] == list(SENTENCES[:4])
