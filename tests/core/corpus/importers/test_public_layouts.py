"""Common Voice, FLEURS, recordings with texts beside them, NeMo manifests, amtts' own, and telling them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prepared import rows, run
from recordings import make_corpus, speech, write_wav
from sources import clips, entries, make_files, rules

from amtts_core.corpus.importers import IMPORTERS, choose_importer
from amtts_core.errors import AmttsError

OLD = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\n"
NEW = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\taccents\t"
    "variant\tlocale\tsegment\n"
)


def test_common_voice_reads_both_column_sets_by_name(tmp_path: Path):
    old = OLD + 'c1\ta.mp3\t"ሰላም፡፡\t2\t0\t\tfemale\t\tam\t\nc2\tb.mp3\tደህና\t2\t0\t\t\t\tam\t\n'
    new = (
        NEW + 'c1\ta.mp3\ts1\t"ሰላም፡፡\t\t2\t0\t\tfemale\t\t\tam\t\nc2\tb.mp3\ts2\tደህና\t\t2\t0\t\t\t\t\tam\t\n'
    )
    for name, table in (("old", old), ("new", new)):
        source = make_files(
            tmp_path / name,
            {"validated.tsv": table, "clips/a.mp3": "x", "clips/b.mp3": "x", "train.tsv": table},
        )
        assert choose_importer(source).name == "common-voice"
        assert choose_importer(source / "train.tsv").name == "common-voice"
        found = clips(source)
        assert [(c.source, c.text, c.speaker) for c in found] == [
            ("clips/a.mp3", '"ሰላም፡፡', "c1"),
            ("clips/b.mp3", "ደህና", "c2"),
        ]
        assert found[0].tags == {"gender": "female"}


def test_common_voice_without_validated_tsv_and_with_faults(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "train.tsv": OLD + "c1\ta.mp3\tሰላም\t\t\t\t\t\tam\t\nc1\tgone.mp3\tቡና\t\t\t\t\t\tam\t\nc1\n",
            "dev.tsv": OLD + "c2\t../b.mp3\tደህና\t\t\t\t\t\tam\t\n",
            "clips/a.mp3": "x",
        },
    )
    assert [c.where for c in entries(source)] == ["train.tsv:2", "train.tsv:3", "train.tsv:4", "dev.tsv:2"]
    assert rules(source) == {"ቡና": "missing-file", "c1": "malformed-line", "ደህና": "outside-folder"}


def test_fleurs_keys_on_the_file_name(tmp_path: Path):
    def row(number: int, name: str) -> str:
        return f'{number}\t{name}\tእሱ "ሰላም" አለ።\tእሱ ሰላም አለ\tእ ሱ | ሰ\t96000\tFEMALE\n'

    source = make_files(
        tmp_path,
        {
            "train.tsv": row(7, "11.wav") + row(7, "12.wav") + row(8, "gone.wav") + "9\t1\n",
            "dev.tsv": row(9, "21.wav"),
            "audio/train/11.wav": "x",
            "audio/train/12.wav": "x",
            "audio/dev/21.wav": "x",
        },
    )
    assert choose_importer(source).name == "fleurs"
    found = clips(source)
    assert [c.source for c in found] == ["audio/train/11.wav", "audio/train/12.wav", "audio/dev/21.wav"]
    assert {c.text for c in found} == {'እሱ "ሰላም" አለ።'}
    assert sorted(rules(source).values()) == ["malformed-line", "missing-file"]


def test_fleurs_keeps_both_readings_of_a_sentence(tmp_path: Path):
    for number in (11, 12):
        write_wav(tmp_path / f"in/audio/train/{number}.wav", speech(number))
    table = "".join(f"7\t{n}.wav\tሰላም ለሁሉም።\tሰላም ለሁሉም\tሰ\t24000\tMALE\n" for n in (11, 12))
    make_files(tmp_path / "in", {"train.tsv": table})
    assert run(tmp_path / "in", tmp_path / "out").kept == 2
    assert {row["gender"] for row in rows(tmp_path / "out/manifest.jsonl")} == {"MALE"}


def test_recordings_with_a_text_beside_each(tmp_path: Path):
    source = make_files(
        tmp_path,
        {
            "አበበ/a.wav": "x",
            "አበበ/a.txt": "\ufeffሰላም\r\nለሁሉም\n",
            "wavs/b.flac": "x",
            "wavs/b.lab": "ደህና".encode("utf-16"),
            "wavs/c.wav": "x",
            "wavs/d.txt": "ቡና",
            "wavs/e.wav": "x",
            "wavs/e.txt": b"\xe1\x88",
            "README.md": "-",
        },
    )
    assert choose_importer(source).name == "wav-txt"
    assert [(c.source, c.text, c.speaker) for c in clips(source)] == [
        ("wavs/b.flac", "ደህና", ""),
        ("አበበ/a.wav", "ሰላም ለሁሉም", "አበበ"),
    ]
    assert rules(source) == {
        "wavs/c.wav": "empty-text",
        "wavs/d.txt": "missing-file",
        "wavs/e.wav": "malformed-line",
    }


def test_links_out_of_the_folder_and_loops(tmp_path: Path):
    make_files(tmp_path, {"secret.wav": "x", "secret.txt": "ሚስጥር"})
    source = make_files(tmp_path / "in", {"a.wav": "x", "a.txt": "ሰላም", "b.wav": "x", "c.txt": "ቡና"})
    (source / "b.txt").symlink_to(tmp_path / "secret.txt")
    (source / "c.wav").symlink_to(tmp_path / "secret.wav")
    (source / "loop").symlink_to(source)
    assert [c.source for c in clips(source, "wav-txt")] == ["a.wav"]
    assert rules(source, "wav-txt") == {"b.wav": "outside-folder", "ቡና": "outside-folder"}


def test_nemo_offsets(tmp_path: Path):
    lines = [
        {"audio_filepath": "a.wav", "text": "ሰላም", "duration": 1.5},
        {"audio_filepath": "a.wav", "text": "ደህና", "offset": 2.0, "duration": 1.5, "speaker": 7},
        {"audio_filepath": "a.wav", "text": "ቡና", "offset": 4},
        {"audio_filepath": "a.wav", "text": "ሻይ", "offset": -1},
        {"audio_filepath": "a.wav", "text": "ውሃ", "offset": 1, "duration": "x"},
        {"audio_filepath": "../a.wav", "text": "ዳቦ"},
        {"text": "ጨው"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n[1]\n{"audio_filepath": \n{"offset": NaN}\n'
    source = make_files(tmp_path, {"manifest.json": text, "a.wav": "x"})
    assert choose_importer(source).name == "nemo"
    assert choose_importer(source / "manifest.json").name == "nemo"
    assert [(c.text, c.start, c.end, c.speaker) for c in clips(source)] == [
        ("ሰላም", 0.0, 1.5, ""),
        ("ደህና", 2.0, 3.5, "7"),
    ]
    assert len(entries(source)) == 10
    assert rules(source)["ዳቦ"] == "outside-folder"


def test_amtts_reads_its_own_corpora(tmp_path: Path):
    run(make_corpus(tmp_path / "in", 3), tmp_path / "one")
    made = tmp_path / "one"
    assert choose_importer(made).name == "amtts"
    again = run(made, tmp_path / "two")
    assert (again.kept, again.importer) == (3, "amtts")
    first, second = (rows(tmp_path / name / "manifest.jsonl") for name in ("one", "two"))
    assert [r["id"] for r in first] == [r["id"] for r in second]
    assert [r["normalized_text"] for r in first] == [r["normalized_text"] for r in second]
    assert second[0]["origin"] == "wavs/clip00.wav"


def test_a_source_that_can_be_read_in_two_ways_names_both(tmp_path: Path):
    source = make_files(tmp_path, {"text": "a ሰላም\n", "wav.scp": "a a.wav\n", "a.wav": "x", "a.txt": "ሰላም"})
    with pytest.raises(
        AmttsError, match=r"more than one way: kaldi, wav-txt\. Choose with --from: kaldi, wav-txt"
    ):
        choose_importer(source)
    assert choose_importer(source, "wav-txt").name == "wav-txt"


@pytest.mark.parametrize("name", sorted(IMPORTERS))
def test_an_empty_folder_is_one_error(tmp_path: Path, name: str):
    with pytest.raises(AmttsError):
        list(choose_importer(tmp_path, name).read(tmp_path).entries)
