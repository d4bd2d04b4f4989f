"""Manifests: NeMo's field names, streamed, with every bad line reported by its number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amtts_core.corpus.manifest import Utterance, empty_manifest, parse_line, read_manifest
from amtts_core.errors import ManifestError
from amtts_core.storage.json_lines import write_jsonl

GOOD = {"id": "a", "audio_filepath": "audio/a.wav", "duration": 1.5, "text": "ሰላም"}


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_round_trip_keeps_fields_of_other_tools(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "train.jsonl"
    rows = [Utterance(**GOOD), Utterance(**{**GOOD, "id": "b"}, speaker="s", pitch=3)]
    assert write_jsonl(path, rows) == 2
    back = list(read_manifest(path))
    assert back == rows
    assert back[1].model_extra == {"pitch": 3}
    assert "ሰላም" in path.read_text(encoding="utf-8"), "Amharic is stored readable"
    assert not list(path.parent.glob("*.tmp"))


def test_audio_paths_resolve_against_the_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "data" / "train.jsonl"
    assert Utterance(**GOOD).audio_path(manifest) == tmp_path / "data" / "audio" / "a.wav"
    absolute = Utterance(**{**GOOD, "audio_filepath": "/x/a.wav"})
    assert absolute.audio_path(manifest) == Path("/x/a.wav")


def test_nemo_rows_without_id_take_the_file_name() -> None:
    row = {key: value for key, value in GOOD.items() if key != "id"}
    assert parse_line(json.dumps(row), source="m", number=1).id == "a"


def test_spoken_text_prefers_the_normalised_one() -> None:
    assert Utterance(**GOOD).spoken_text() == "ሰላም"
    assert Utterance(**GOOD, normalized_text="ሰላም ነው").spoken_text() == "ሰላም ነው"


BAD = {
    "not JSON": "{nope",
    "expected a JSON object, found list": "[1]",
    "duration: Field required": json.dumps({k: v for k, v in GOOD.items() if k != "duration"}),
    "duration: Input should be greater than 0": json.dumps(GOOD | {"duration": 0}),
    "duration: Input should be a finite number": json.dumps(GOOD | {"duration": float("inf")}),
    "text: Input should be a valid string": json.dumps(GOOD | {"text": None}),
    "id: String should have at least 1 character": json.dumps(GOOD | {"id": ""}),
    "audio_filepath: Input should be a valid string": json.dumps(GOOD | {"audio_filepath": 3}),
    "sample_rate: Input should be greater than 0": json.dumps(GOOD | {"sample_rate": -1}),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_line_names_file_line_and_fault(tmp_path: Path, fault: str) -> None:
    path = lines(tmp_path / "m.jsonl", GOOD, "", BAD[fault])
    with pytest.raises(ManifestError) as caught:
        list(read_manifest(path))
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert fault in str(caught.value)


def test_all_bad_lines_are_collected_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    good = json.dumps(GOOD).encode()
    path.write_bytes(b"\n".join([b"\xef\xbb\xbf" + good, b"{", good, b"\xff\xfe", b"", b"3", good]))
    bad: list[ManifestError] = []
    assert [row.id for row in read_manifest(path, bad_lines=bad)] == ["a", "a", "a"]
    assert [str(fault).split(": ")[0] for fault in bad] == [f"{path}, line {n}" for n in (2, 4, 6)]
    assert "not UTF-8" in str(bad[1])


def test_several_faults_of_one_line_come_together() -> None:
    with pytest.raises(ManifestError, match=r"line 7: .*duration: .*; .*text: "):
        parse_line(json.dumps(GOOD | {"duration": "long", "text": 1}), source="m.jsonl", number=7)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is a folder"):
        list(read_manifest(tmp_path))
    with pytest.raises(ManifestError, match=r"No such file or directory\. Make one with: amtts prepare"):
        list(read_manifest(tmp_path / "none.jsonl"))


def test_reading_is_a_stream(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", GOOD, "{broken")
    assert next(iter(read_manifest(path))).id == "a"


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", GOOD)

    def rows():
        yield GOOD
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        write_jsonl(path, rows())
    assert [row.id for row in read_manifest(path)] == ["a"]
    assert list(tmp_path.iterdir()) == [path]


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match="cannot write"):
        write_jsonl(tmp_path / "file" / "m.jsonl", [GOOD])
    (tmp_path / "folder").mkdir()
    with pytest.raises(ManifestError, match="cannot write"):
        write_jsonl(tmp_path / "folder", [GOOD])
    assert not list(tmp_path.glob("*.tmp"))


@given(text=st.text(st.characters(exclude_categories=["Cs"])), duration=st.floats(0.01, 1e4))
def test_any_text_survives_a_line(text: str, duration: float) -> None:
    row = Utterance(**{**GOOD, "text": text, "duration": duration})
    line = json.dumps(row.model_dump(exclude_none=True), ensure_ascii=False)
    assert parse_line(line, source="m", number=1) == row


def test_an_empty_training_set_says_where_the_utterances_went(tmp_path: Path) -> None:
    for split, rows in (("train", []), ("val", []), ("test", [GOOD])):
        lines(tmp_path / f"{split}.jsonl", *rows)
    said = str(empty_manifest(tmp_path / "train.jsonl"))
    assert "all of them went to test 1" in said
    assert "--val 0 --test 0" in said
    lines(tmp_path / "test.jsonl")
    assert "rejected.jsonl" in str(empty_manifest(tmp_path / "train.jsonl"))
