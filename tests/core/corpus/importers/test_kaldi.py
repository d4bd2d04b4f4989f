"""Kaldi folders as they are passed on: foreign paths, pipes, segments, utterances without a recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from sources import clips, entries, make_files, rules

from amtts_core.corpus.importers import Fault, choose_importer
from amtts_core.errors import AmttsError

ALFFA = {
    "wav/tr_1_tr01001.wav": "x",
    "wav/tr_2_tr01002.wav": "x",
    "text": "tr_1_tr01001\tሰላም ለሁሉም \ntr_2_tr01002 ደህና ናችሁ  \n",
    "wav.scp": "tr_1_tr01001 /home/melese/kaldi/data/train/wav/tr_1_tr01001.wav\n"
    "tr_2_tr01002 data/train/wav/tr_2_tr01002.wav\n",
    "utt2spk": "tr_1_tr01001 tr_1_tr01001\ntr_2_tr01002 አበበ\n",
    "spk2utt": "tr_1_tr01001 tr_1_tr01001\n",
}


def test_foreign_paths_are_found_inside_the_folder(tmp_path: Path):
    source = make_files(tmp_path, ALFFA)
    assert choose_importer(source).name == "kaldi"
    found = [(c.source, c.text, c.speaker, c.name) for c in clips(source)]
    assert found == [
        ("wav/tr_1_tr01001.wav", "ሰላም ለሁሉም", "tr01", "tr_1_tr01001"),  # utt2spk names the utterance itself
        ("wav/tr_2_tr01002.wav", "ደህና ናችሁ", "አበበ", "tr_2_tr01002"),
    ]
    assert not rules(source)


def test_readers_that_are_not_named_are_not_taken_for_one(tmp_path: Path):
    table = {"text": "a ሰላም\nb ሰላም\n", "wav.scp": "a a.wav\nb b.wav\n", "a.wav": "x", "b.wav": "x"}
    source = make_files(tmp_path, {**table, "utt2spk": "a a\nb b\n"})
    assert [(c.speaker, c.distinct) for c in clips(source)] == [("", True), ("", True)]
    (source / "utt2spk").unlink()
    assert [(c.speaker, c.distinct) for c in clips(source)] == [("", False), ("", False)]


def test_a_file_is_found_by_its_name_unless_two_have_it(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "text": "a ሰላም\nb ደህና\n",
            "wav.scp": "a /x/y/a.wav\nb /x/y/b.wav\n",
            "deep/er/a.wav": "x",
            "one/b.wav": "x",
            "two/b.wav": "x",
        },
    )
    assert [c.source for c in clips(source)] == ["deep/er/a.wav"]
    assert rules(source) == {"ደህና": "ambiguous-file"}


def test_commands_are_never_run(tmp_path: Path):
    marker = tmp_path / "ran"
    source = make_files(
        tmp_path / "in",
        {
            "text": "a ሰላም\nb ደህና\nc ቡና\n",
            "wav.scp": f"a touch {marker}; cat a.wav |\nb | touch {marker}\nc $(touch {marker}).wav\n",
            "a.wav": "x",
        },
    )
    assert rules(source) == {"ሰላም": "command", "ደህና": "command", "ቡና": "missing-file"}
    assert not marker.exists()


def test_segments(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "text": "u1 ሰላም\nu2 ደህና\nu3 ቡና\nu4 ሻይ\nu5 ውሃ\nu6 ዳቦ\n",
            "wav.scp": "rec rec.wav\n",
            "rec.wav": "x",
            "segments": "u1 rec 0.5 1.25\nu2 rec 2.0 -1\nu3 rec 3.0 2.0\nu4 rec x 2\n"
            "u5 gone 0 1\nu6 rec 0\nu7 rec 5 6\n",
        },
    )
    assert [(c.name, c.start, c.end) for c in clips(source)] == [("u1", 0.5, 1.25), ("u2", 2.0, None)]
    assert rules(source) == {
        "ቡና": "malformed-line",
        "ሻይ": "malformed-line",
        "ውሃ": "missing-file",
        "ዳቦ": "malformed-line",
        "u7": "empty-text",
    }


def test_nothing_is_lost_on_either_side(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "text": "a ሰላም\nb ደህና\nc\n".encode() + b"d \xe1\x88\n",
            "wav.scp": "a a.wav\nc c.wav\ne ../e.wav\nf f.wav\n",
            "a.wav": "x",
            "c.wav": "x",
        },
    )
    found = entries(source)
    assert [c.name for c in found] == ["a", "b", "c", "", "e", "f"]
    assert [f.finding.rule for f in found if isinstance(f, Fault)] == [
        "missing-file",
        "malformed-line",
        "empty-text",
        "empty-text",
    ]


def test_paths_that_escape_are_told(tmp_path: Path):
    make_files(tmp_path, {"secret.wav": "x"})
    source = make_files(
        tmp_path / "in",
        {"text": "a ሰላም\nb ደህና\n", "wav.scp": f"a ../secret.wav\nb {tmp_path}/secret.wav\n", "c.wav": "x"},
    )
    assert set(rules(source).values()) == {"outside-folder"}


def test_a_list_with_sentence_marks(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "trsTrain.txt": "<s> ሰላም ለሁሉም </s> (a)\n<s> ደህና </s> (b)\n",
            "wav.scp": "a wav/a.wav\nb wav/b.wav\nc wav/c.wav\n",
            "wav/a.wav": "x",
            "wav/b.wav": "x",
        },
    )
    assert [(c.name, c.text) for c in clips(source, "kaldi")] == [("a", "ሰላም ለሁሉም"), ("b", "ደህና")]
    assert rules(source) == {"c": "empty-text"}


def test_several_data_folders(tmp_path: Path):
    for part in ("train", "test"):
        make_files(
            tmp_path / "data" / part, {"text": f"{part}1 ሰላም\n", "wav.scp": f"{part}1 w.wav\n", "w.wav": "x"}
        )
    assert [(c.where, c.source) for c in clips(tmp_path)] == [
        ("data/test/text:1", "data/test/w.wav"),
        ("data/train/text:1", "data/train/w.wav"),
    ]


def test_what_is_no_data_folder(tmp_path: Path):
    with pytest.raises(AmttsError, match="no Kaldi data folder"):
        choose_importer(make_files(tmp_path, {"text": "a ሰላም\n"}), "kaldi").read(tmp_path)
