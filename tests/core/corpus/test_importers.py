"""Tables as people write them: every layout is read, every line comes out once, quotes quote only in spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amtts_core.corpus.importers import IMPORTERS, Clip, Fault, choose_importer
from amtts_core.errors import AmttsError


def folder_with(tmp_path: Path, text: str | bytes, *audio: str, name: str = "metadata.csv") -> Path:
    """A folder with a table and empty audio files (importers do not decode)."""
    for file in audio:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


def entries(source: Path, importer: str = "") -> list[Clip | Fault]:
    reading = choose_importer(source, importer).read(source)
    found = list(reading.entries)
    assert reading.total == len(found)
    return found


def clips(source: Path, importer: str = "") -> list[tuple[str, str, str, str]]:
    return [(c.source, c.text, c.spoken, c.speaker) for c in entries(source, importer) if isinstance(c, Clip)]


TWO = ("wavs/a.wav", "wavs/b.wav")


@pytest.mark.parametrize(
    ("importer", "table", "expected"),
    [
        ("csv", "audio_file|text\nwavs/a.wav|ሰላም\nwavs/b.wav|ደህና\n", ("", "")),
        ("csv", "audio_file|text|speaker_name\nwavs/a.wav|ሰላም|አበበ\nwavs/b.wav|ደህና|አበበ\n", ("", "አበበ")),
        ("csv", "file|text|speaker\nwavs/a.wav|ሰላም|አበበ\nwavs/b.wav|ደህና|አበበ\n", ("", "አበበ")),
        ("csv", "Speaker_ID\tSentence\tPATH\nአበበ\tሰላም\twavs/a.wav\nአበበ\tደህና\twavs/b.wav\n", ("", "አበበ")),
        (
            "csv",
            "audio_file|text|speaker_name|emotion_name\nwavs/a.wav|ሰላም|አበበ|x\nwavs/b.wav|ደህና|አበበ|y\n",
            ("", "አበበ"),
        ),
        ("csv", "wavs/a.wav|ሰላም\nwavs/b.wav|ደህና\n", ("", "")),
        ("csv", "ሰላም|wavs/a.wav\nደህና|wavs/b.wav\n", ("", "")),
        ("csv", "wavs/a.wav|0|ሰላም ለሁሉም\nwavs/b.wav|0|ደህና ዋሉ ሁላችሁ\n", ("", "0")),
        ("csv", "id|text\na|ሰላም\nb|ደህና\n", ("", "")),
        ("ljspeech", "a|ሰላም\nb|ደህና\n", ("", "")),
        ("ljspeech", "a|ሰላም|\nb|ደህና|\n", ("", "")),
        ("ljspeech", "a|5 ሰላም|አምስት ሰላም\nb|ደህና 5|ደህና አምስት\n", ("LJ", "")),
    ],
)
def test_layouts_are_recognised(tmp_path: Path, importer: str, table: str, expected: tuple[str, str]):
    source = folder_with(tmp_path, table, *TWO)
    assert choose_importer(source).name == importer
    found = clips(source)
    assert [clip[0] for clip in found] == list(TWO)
    spoken, speaker = expected
    assert {clip[3] for clip in found} == {speaker}
    if spoken:
        assert [clip[1:3] for clip in found] == [("5 ሰላም", "አምስት ሰላም"), ("ደህና 5", "ደህና አምስት")]
    else:
        assert all(clip[1].startswith(word) for clip, word in zip(found, ("ሰላም", "ደህና"), strict=True))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str):
    table = end.join(["audio_file|text", "wavs/a.wav|ሰላም", "", "  ", "wavs/b.wav|ደህና"]).encode(encoding)
    assert clips(folder_with(tmp_path, table, *TWO)) == [(TWO[0], "ሰላም", "", ""), (TWO[1], "ደህና", "", "")]


def test_quotes_are_letters(tmp_path: Path):
    table = 'audio_file|text\nwavs/a.wav|"ሰላም አለ\nwavs/b.wav|ደህና" \'ነው\n'
    assert [clip[1] for clip in clips(folder_with(tmp_path, table, *TWO))] == ['"ሰላም አለ', "ደህና\" 'ነው"]


def test_a_separator_inside_the_text(tmp_path: Path):
    table = "audio_file|text|speaker_name\nwavs/a.wav|ሰላም|ለዓለም|አበበ\nwavs/b.wav|ደህና|አበበ||\n"
    assert [clip[1:] for clip in clips(folder_with(tmp_path, table, *TWO))] == [
        ("ሰላም|ለዓለም", "", "አበበ"),
        ("ደህና", "", "አበበ"),
    ]
    found = entries(folder_with(tmp_path, "a|ሰላም|ሰላም\nb|ደህና|x|y\n", *TWO), "ljspeech")
    assert isinstance(found[1], Fault)
    assert found[1].finding.rule == "malformed-line"


def test_odd_line_separators_do_not_end_a_line(tmp_path: Path):
    table = "audio_file|text\nwavs/a.wav|ሰላም\u2028ለዓለም\x0b\x85\nwavs/b.wav|ደህና\n"
    assert len(clips(folder_with(tmp_path, table, *TWO))) == 2


def test_bad_lines_are_told_by_number(tmp_path: Path):
    table = b"audio_file|text\nwavs/a.wav|\xe1\x88\nwavs/b.wav\n" + b"x" * (1 << 20) + b"yy\nwavs/b.wav|ok\n"
    found = entries(folder_with(tmp_path, table, *TWO))
    assert [(type(f), f.where) for f in found] == [
        (Fault, "metadata.csv:2"),
        (Fault, "metadata.csv:3"),
        (Fault, "metadata.csv:4"),
        (Clip, "metadata.csv:5"),
    ]
    assert {f.finding.rule for f in found if isinstance(f, Fault)} == {"malformed-line"}


def rules(source: Path) -> list[str]:
    return [entry.finding.rule if isinstance(entry, Fault) else entry.source for entry in entries(source)]


def test_paths_stay_inside_the_folder(tmp_path: Path):
    outside = tmp_path / "outside"
    folder_with(outside, "", "secret.wav", "corpus-2/x.wav")
    corpus = folder_with(outside / "corpus", "", *TWO)
    (corpus / "link.wav").symlink_to(outside / "secret.wav")
    (corpus / "linked").symlink_to(outside)
    (corpus / "inner.wav").symlink_to(corpus / "wavs/a.wav")
    (corpus / "loop").symlink_to(corpus / "loop")
    names = {
        "wavs/a.wav": "wavs/a.wav",
        "./wavs/../wavs/b.wav": "wavs/b.wav",
        "../secret.wav": "outside-folder",
        "../corpus-2/x.wav": "outside-folder",
        "../nowhere.wav": "outside-folder",
        str(outside / "secret.wav"): "outside-folder",
        "/etc/passwd": "outside-folder",
        "link.wav": "outside-folder",
        "linked/secret.wav": "outside-folder",
        "inner.wav": "wavs/a.wav",
        "loop": "unreadable",
        "loop/a.wav": "unreadable",
        "wavs": "unreadable",
        "none.wav": "missing-file",
        "": "missing-file",
        "wavs/" + "x" * 300 + ".wav": "missing-file",
        "wavs/a\0.wav": "malformed-line",
        str(corpus / "wavs/a.wav"): "wavs/a.wav",
        "/home/abebe/corpus/wavs/a.wav": "wavs/a.wav",
        "C:\\Users\\Abebe\\corpus\\wavs\\a.wav": "wavs/a.wav",
        "C:\\Users\\Abebe\\none.wav": "outside-folder",
        "wavs\\b.wav": "wavs/b.wav",
        "/home/../wavs/a.wav": "outside-folder",
    }
    table = "audio_file|text\n" + "".join(f"{name}|ሰላም\n" for name in names)
    assert dict(zip(names, rules(folder_with(corpus, table)), strict=True)) == names


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("ሰላም ለዓለም\n", "one column"),
        ("audio_file|speaker_name\nwavs/a.wav|x\n", "no text column"),
        ("nothing.wav|ሰላም\n", "names an audio file that exists"),
        ("wavs/a.wav|ሰላም ለሁሉም|አበበ ከበደ\nwavs/b.wav|ደህና እደሩ|አልማዝ ታደሰ\n", "columns 2 and 3 both hold text"),
        (b"\xff\xfe\xff\xff|\n" * 3, "line 1"),
        (b"\xe1|\xe1\n", "not UTF-8"),
    ],
)
def test_tables_that_cannot_be_understood(tmp_path: Path, table: str | bytes, said: str):
    with pytest.raises(AmttsError, match=said):
        choose_importer(folder_with(tmp_path, table, *TWO))


def test_where_the_table_is(tmp_path: Path):
    with pytest.raises(AmttsError, match="does not exist"):
        choose_importer(tmp_path / "none")
    with pytest.raises(AmttsError, match=r"holds no metadata\.csv"):
        choose_importer(tmp_path)
    folder_with(tmp_path, "wavs/a.wav|ሰላም\n", *TWO, name="corpus.csv")
    folder_with(tmp_path, "am\n", name="lang.txt")
    assert clips(tmp_path) == clips(tmp_path / "corpus.csv") == [("wavs/a.wav", "ሰላም", "", "")]
    folder_with(tmp_path, "wavs/b.wav|ሰላም\n", *TWO, name="more.csv")
    with pytest.raises(AmttsError, match=r"but corpus\.csv, more\.csv\. Name") as raised:
        choose_importer(tmp_path)
    assert "lang.txt" not in str(raised.value)
    with pytest.raises(AmttsError, match="did you mean 'ljspeech'"):
        choose_importer(tmp_path, "ljspeach")


def test_tables_of_several_splits_are_one_source(tmp_path: Path):
    header = "audio_file|text|speaker_name\n"
    folder_with(tmp_path, header + "wavs/a.wav|ሰላም|ab\n", *TWO, name="metadata_train.csv")
    folder_with(tmp_path, header + "wavs/b.wav|ለዓለም|ab\nwavs/none.wav|x|ab\n", name="metadata_eval.csv")
    folder_with(tmp_path, "am\n", name="lang.txt")
    assert [(e.where, e.text) for e in entries(tmp_path)] == [
        ("metadata_eval.csv:2", "ለዓለም"),
        ("metadata_eval.csv:3", "x"),
        ("metadata_train.csv:2", "ሰላም"),
    ]


@pytest.mark.parametrize("separator", [",", ";"])
def test_spreadsheets_under_a_header_quote_their_cells(tmp_path: Path, separator: str):
    rows = [
        ("name", "path", "sentence"),
        ("1", "wavs/a.wav", f'"ሰላም{separator} ""ለዓለም"" ሁሉ"'),
        ("2", "wavs/b.wav", 'አንድ "ጥቅስ'),
        ("3", "wavs/b.wav", f'"አልተዘጋም{separator} x'),
    ]
    source = folder_with(tmp_path, "\r\n".join(separator.join(row) for row in rows), *TWO)
    assert clips(source) == [
        ("wavs/a.wav", f'ሰላም{separator} "ለዓለም" ሁሉ', "", ""),
        ("wavs/b.wav", 'አንድ "ጥቅስ', "", ""),
    ]
    assert rules(source)[-1] == "malformed-line"


def test_importers_have_names_and_summaries():
    assert all(name == importer.name and importer.summary for name, importer in IMPORTERS.items())


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40), max_size=12),
    tail=st.binary(max_size=30),
)
def test_any_table_gives_each_line_once_or_one_error(tmp_path: Path, lines: list[str], tail: bytes):
    head = "audio_file|text\nwavs/a.wav|ሰላም\n".encode()
    content = head + "\n".join(lines).encode() + b"\n" + tail
    source = folder_with(tmp_path, content, *TWO)
    found = entries(source)
    assert len({entry.where for entry in found}) == len(found)
    shown = [line for line in content.decode(errors="replace").split("\n") if line.strip("\r").strip()]
    assert len(found) == len(shown) - 1
