"""Tables by the rules of csv, spreadsheets, and rows that cut their recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from prepared import LENIENT, rejected, rows, run
from recordings import SENTENCES, speech, write_wav
from sheets import spreadsheet
from sources import clips, entries, make_files, rules
from talks import make_talk, sentences

from amtts_core.corpus.importers import Fault, choose_importer
from amtts_core.errors import AmttsError

FILES: dict[str, str | bytes] = {f"wavs/{n}.wav": "x" for n in range(4)}
A, B, C, D = SENTENCES[:4]


def texts(folder: Path, content: str | bytes, *, name: str = "metadata.csv") -> list[str]:
    return [clip.text for clip in clips(make_files(folder, {**FILES, name: content}))]


def test_a_quoted_cell_goes_on_over_line_ends(tmp_path: Path):
    two = f"{B[:5]}\n\n{B[5:]}"
    content = f'file,text\nwavs/0.wav,{A}\nwavs/1.wav,"{two}"\nwavs/2.wav,{C}\n'
    assert texts(tmp_path, content) == [A, " ".join(two.split()), C]
    assert [entry.where for entry in entries(tmp_path)] == [
        "metadata.csv:2",
        "metadata.csv:3",
        "metadata.csv:6",
    ]


def test_a_quote_that_is_never_closed_costs_its_own_line(tmp_path: Path):
    content = f'file,text\nwavs/0.wav,"{A}\nwavs/1.wav,{B}\nwavs/2.wav,"{C}"\nwavs/3.wav,{D}\n'
    source = make_files(tmp_path, {**FILES, "metadata.csv": content})
    assert [clip.text for clip in clips(source)] == [B, C, D]
    assert [entry.where for entry in entries(source) if isinstance(entry, Fault)] == ["metadata.csv:2"]


@pytest.mark.parametrize("separator", ["|", "\t", ",", ";"])
def test_quotes_of_other_programs(tmp_path: Path, separator: str):
    quoted = separator.join(('"wavs/1.wav"', f'"ሱ ""{B}"" አለ"'))
    all_quoted = "\n".join(
        (
            separator.join(('"file"', '"text"')),
            separator.join(('"wavs/0.wav"', f'"{A}{separator} ለ"')),
            quoted,
        )
    )
    assert texts(tmp_path, all_quoted) == [f"{A}{separator} ለ", f'ሱ "{B}" አለ']


def test_quotes_are_letters_where_nothing_says_otherwise(tmp_path: Path):
    content = f'wavs/0.wav|"{A}" አለች\nwavs/1.wav|"{B}"\nwavs/2.wav|{C} "ብሎ\n'
    assert texts(tmp_path, content) == [f'"{A}" አለች', f'"{B}"', f'{C} "ብሎ']


@pytest.mark.parametrize(
    "content",
    [
        f"wavs/0.wav|{A}\rwavs/1.wav|{B}\r",
        f"file;text\rwavs/0.wav;{A}\rwavs/1.wav;{B}\r",
        f"sep=;\nfile;text\nwavs/0.wav;{A}\nwavs/1.wav;{B}\n",
        f"wavs/0.wav || {A}\nwavs/1.wav || {B}\n",
        f"wavs/0.wav=={A}\nwavs/1.wav=={B}\n",
        f"wavs/0.wav, {A}\nwavs/1.wav, {B}\n",
        f"wavs/0.wav {A}\nwavs/1.wav {B}\n",
        f"0 {A}\n1 {B}\n",
        f'( 0 "{A}" )\n( 1 "{B}" )\n',
        f"0.wav;{A}\n1.wav;{B}\n",
        f"No.,File,Sentence,,\n1,0.wav,{A},,\n2,1.wav,{B},,\n",
    ],
)
def test_separators_and_line_ends(tmp_path: Path, content: str):
    assert texts(tmp_path, content) == [A, B]


def test_commas_of_a_text_without_quotes(tmp_path: Path):
    assert texts(tmp_path, "path,text\nwavs/0.wav,ሰላም, ለሁሉም\nwavs/1.wav,ደህና\n") == ["ሰላም, ለሁሉም", "ደህና"]
    assert texts(tmp_path, "wavs/0.wav,ሰላም, ለሁሉም\nwavs/1.wav,ደህና\n") == ["ሰላም, ለሁሉም", "ደህና"]


def test_rows_without_anything_are_set_aside(tmp_path: Path):
    content = f"no,file,text\n1,wavs/0.wav,{A}\n2,,\n3,wavs/1.wav,\n"
    source = make_files(tmp_path, {**FILES, "metadata.csv": content})
    assert [e.finding.rule for e in entries(source) if isinstance(e, Fault)] == ["empty-text"]


def test_spreadsheets(tmp_path: Path):
    make_files(tmp_path, FILES)
    spreadsheet(tmp_path / "list.xlsx", [["file", "speaker", "text"], ["0.wav", 3, A], ["1.wav", 3, B]])
    (tmp_path / "~$list.xlsx").write_bytes(b"x")
    assert choose_importer(tmp_path).name == "csv"
    assert [(clip.source, clip.speaker, clip.text) for clip in clips(tmp_path)] == [
        ("wavs/0.wav", "3", A),
        ("wavs/1.wav", "3", B),
    ]
    assert "sheet 'ቅጂ'" in choose_importer(tmp_path).read(tmp_path).summary
    (tmp_path / "list.xlsx").write_bytes((tmp_path / "list.xlsx").read_bytes()[:300])
    with pytest.raises(AmttsError, match="spreadsheet: it is damaged|damaged zip archive"):
        choose_importer(tmp_path / "list.xlsx")


SPANS = [(0.5, 2.5), (3.5, 6.0), (7.0, 8.5)]


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("start,end", [("0.5", "2.5"), ("3.5", "6.0"), ("7.0", "8.5")]),
        ("start_time,duration", [("0.5", "2"), ("3.5", "2.5"), ("7", "1.5")]),
        ("start_ms,end_ms", [("500", "2500"), ("3500", "6000"), ("7000", "8500")]),
        ("begin,stop", [("500", "2500"), ("3500", "6000"), ("7000", "8500")]),
        ("start,end", [("00:00:00.5", "00:02.5"), ("0:03.5", "0:06"), ("0:07.000", "0:08,500")]),
        ("start_sample,end_sample", [("8000", "40000"), ("56000", "96000"), ("112000", "136000")]),
    ],
)
def test_times_cut_the_recording(tmp_path: Path, header: str, values: list[tuple[str, str]]):
    write_wav(tmp_path / "talk.wav", make_talk(SPANS))
    lines = [
        f"talk.wav,{','.join(f'{v}' if ',' not in v else chr(34) + v + chr(34) for v in pair)},{text}"
        for pair, text in zip(values, sentences(3), strict=True)
    ]
    make_files(tmp_path, {"metadata.csv": "\n".join([f"audio,{header},text", *lines])})
    assert [(clip.start, clip.end) for clip in clips(tmp_path)] == SPANS


def test_several_rows_of_a_file_are_several_clips(tmp_path: Path):
    write_wav(tmp_path / "in/talk.wav", make_talk(SPANS))
    lines = [f"talk.wav|{start}|{end}|{text}" for (start, end), text in zip(SPANS, sentences(3), strict=True)]
    make_files(
        tmp_path / "in",
        {"metadata.csv": "\n".join(["file|start|end|text", *lines, "talk.wav|||ሌላ።", "talk.wav|5|4|ሌላ።"])},
    )
    report = run(tmp_path / "in", tmp_path / "out")
    assert (report.kept, report.reasons) == (3, {"malformed-line": 2})
    made = rows(tmp_path / "out/manifest.jsonl")
    assert [(row["source_start"], row["source_end"]) for row in made] == SPANS
    assert [row["duration"] for row in made] == pytest.approx([end - start for start, end in SPANS], abs=0.1)


def test_times_whose_unit_cannot_be_told(tmp_path: Path):
    make_files(tmp_path, {**FILES, "metadata.csv": f"file|start|end|text\nwavs/0.wav|20000|30000|{A}\n"})
    with pytest.raises(AmttsError, match="in seconds, milliseconds or samples cannot be told"):
        choose_importer(tmp_path)


def test_a_whole_recording_with_several_texts_is_none_of_them(tmp_path: Path):
    write_wav(tmp_path / "in/talk.wav", make_talk(SPANS))
    write_wav(tmp_path / "in/a.wav", speech(9))
    make_files(tmp_path / "in", {"metadata.csv": f"talk.wav|{A}\ntalk.wav|{B}\ntalk.wav|{C}\na.wav|{D}\n"})
    report = run(tmp_path / "in", tmp_path / "out", LENIENT)
    assert (report.kept, report.reasons) == (1, {"several-texts": 3})
    assert "several-texts" in rejected(tmp_path / "out").values()
    assert [path.name for path in (tmp_path / "out/audio").iterdir()] == ["a.flac"]
    assert run(tmp_path / "in", tmp_path / "out", LENIENT).reasons == {"several-texts": 3}


def test_no_table_is_taken_for_one(tmp_path: Path):
    make_files(tmp_path, {**FILES, "a.pdf": b"%PDF-1.4", "b.docx": b"PK\x03\x04" + bytes(40)})
    with pytest.raises(AmttsError, match=r"a\.pdf is a PDF document\. copy the list into a table"):
        choose_importer(tmp_path / "a.pdf")
    with pytest.raises(AmttsError, match="is a PDF document"):
        choose_importer(tmp_path)
    soundfile.write(tmp_path / "alone.wav", speech(1), 16000)
    with pytest.raises(AmttsError, match="is a recording .*no text of the same name"):
        choose_importer(tmp_path / "alone.wav")
    assert rules(
        make_files(tmp_path / "x", {**FILES, "metadata.csv": f"wavs/0.wav|{A}\nwavs/9.wav|{B}"})
    ) == {B: "missing-file"}


@pytest.mark.parametrize("sign", ["-", "=>", "=", ":", "→"])
def test_a_sign_between_spaces_separates_and_is_no_text(tmp_path: Path, sign: str):
    lines = (f"wavs/{n}.wav {sign} {text}" for n, text in enumerate((A, f"{B} {sign} {C}")))
    assert texts(tmp_path, "\n".join(lines), name="list.txt") == [A, f"{B} {sign} {C}"]


def test_quotes_hold_line_ends_in_every_row(tmp_path: Path):
    rows_of = (f'wavs/{n}.wav\t"{text[:4]}\n{text[4:]}"' for n, text in enumerate((A, B, C)))
    found = texts(tmp_path, "\n".join(["file\ttext", *rows_of]), name="metadata.tsv")
    assert found == [" ".join(f"{text[:4]} {text[4:]}".split()) for text in (A, B, C)]


def test_a_text_column_in_another_language_gives_way_to_the_one_in_the_language(tmp_path: Path):
    rows_of = (f"wavs/{n}.wav,Good morning {n},{text}" for n, text in enumerate((A, B, C)))
    assert texts(tmp_path, "\n".join(["file,text,amharic", *rows_of])) == [A, B, C]


def test_names_are_not_taken_for_a_text_in_another_script(tmp_path: Path):
    rows_of = (f"wavs/{n}.wav,Good morning {n},አበበ" for n in range(3))
    assert texts(tmp_path, "\n".join(["file,text,ስም", *rows_of])) == [f"Good morning {n}" for n in range(3)]


def test_one_name_in_every_speakers_folder(tmp_path: Path):
    files = {f"{speaker}/{n}.wav": "x" for speaker in ("abebe", "almaz") for n in range(2)}
    lines = [
        f"{speaker},{n}.wav,{SENTENCES[2 * k + n]}"
        for k, speaker in enumerate(("abebe", "almaz"))
        for n in (0, 1)
    ]
    make_files(tmp_path, {**files, "metadata.csv": "\n".join(["speaker,file,text", *lines])})
    assert [clip.source for clip in clips(tmp_path)] == list(files)
