"""JSON of other tools: other keys, lists, documents, Lhotse, Label Studio; parquet and arrow with samples."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from prepared import rows, run
from recordings import SENTENCES, speech
from sources import entries, make_files

from amtts_core.audio.io import decode
from amtts_core.corpus.importers import Clip, Fault, choose_importer
from amtts_core.errors import AmttsError

FILES: dict[str, str | bytes] = {f"wavs/{n}.wav": "x" for n in range(3)}
TEXTS = SENTENCES[:3]


def clips(source: Path) -> list[Clip]:
    found = entries(source)
    assert all(isinstance(entry, Clip) for entry in found), found
    return [entry for entry in found if isinstance(entry, Clip)]


def lines(objects: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(value, ensure_ascii=False) for value in objects) + "\n"


@pytest.mark.parametrize(
    ("audio", "text"),
    [
        ("audio", "text"),
        ("audio_file", "sentence"),
        ("wav", "transcription"),
        ("path", "txt"),
        ("audio_filename", "words"),
    ],
)
def test_other_keys_and_other_forms(tmp_path: Path, audio: str, text: str):
    objects = [{audio: f"wavs/{n}.wav", text: TEXTS[n], "speaker": "አበበ", "duration": 1.0} for n in range(3)]
    documents = {
        "a.jsonl": lines(objects),
        "a.json": json.dumps(objects, indent=1),
        "b.json": json.dumps({"version": 1, "data": objects}),
        "c.json": json.dumps({f"utt{n}": value for n, value in enumerate(objects)}),
        "d.jsonl.gz": gzip.compress(lines(objects).encode()),
    }
    for name, content in documents.items():
        source = make_files(tmp_path / name.replace(".", "-"), {**FILES, name: content})
        assert choose_importer(source).name == choose_importer(source / name).name == "json"
        assert [(c.source, c.text, c.speaker) for c in clips(source)] == [
            (f"wavs/{n}.wav", TEXTS[n], "አበበ") for n in range(3)
        ]


def test_a_dictionary_of_texts(tmp_path: Path):
    document = {f"{n}.wav": TEXTS[n] for n in range(3)}
    source = make_files(tmp_path, {**FILES, "texts.json": json.dumps(document)})
    assert [clip.text for clip in clips(source / "texts.json")] == list(TEXTS)


def test_dialogs_about_recordings(tmp_path: Path):
    objects = [
        {
            "messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": TEXTS[n]}],
            "audios": [f"wavs/{n}.wav"],
        }
        for n in range(3)
    ]
    assert [clip.text for clip in clips(make_files(tmp_path, {**FILES, "a.jsonl": lines(objects)}))] == list(
        TEXTS
    )


def test_json_that_is_something_else_says_which_keys_it_has(tmp_path: Path):
    source = make_files(tmp_path, {**FILES, "a.json": '[{"name": "x", "value": 3}]', "b.json": "{"})
    with pytest.raises(AmttsError, match="names no text column; known names: text, transcription"):
        choose_importer(source / "a.json")
    with pytest.raises(AmttsError, match="is no valid JSON in line 1"):
        choose_importer(source / "b.json")


def cut(
    n: int, *, start: float = 0.0, duration: float = 2.0, total: float = 2.0, **more: Any
) -> dict[str, Any]:
    supervision = {
        "id": str(n),
        "start": 0.0,
        "duration": duration,
        "text": TEXTS[n],
        "speaker": "አበበ",
        **more,
    }
    recording = {"sources": [{"type": "file", "channels": [0], "source": f"wavs/{n}.wav"}], "duration": total}
    return {
        "id": f"cut-{n}",
        "start": start,
        "duration": duration,
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
    }


def test_lhotse_cuts(tmp_path: Path):
    objects = [cut(0), cut(1, start=3.0, total=10.0), cut(2, language="en")]
    source = make_files(
        tmp_path,
        {**FILES, "cuts.jsonl": lines(objects), "cuts.jsonl.gz": gzip.compress(lines(objects).encode())},
    )
    whole, part, foreign = entries(source)
    assert isinstance(whole, Clip)
    assert (whole.start, whole.end, whole.name, whole.speaker) == (0.0, None, "cut-0", "አበበ")
    assert isinstance(part, Clip)
    assert (part.start, part.end) == (3.0, 5.0)
    assert isinstance(foreign, Fault)
    assert foreign.finding.rule == "other-language"


def test_label_studio(tmp_path: Path):
    def task(name: str, *values: dict[str, Any]) -> dict[str, Any]:
        results = [
            {"id": f"r{n}", "original_length": 9, "value": value, "type": "textarea"}
            for n, value in enumerate(values)
        ]
        return {
            "id": 1,
            "annotations": [{"result": results}],
            "data": {"audio": f"/data/upload/1/001b2c3d-{name}"},
        }

    whole = {"start": 0, "end": 9, "text": [TEXTS[0]]}
    parts = (
        {"start": 1, "end": 2.5, "text": [TEXTS[1]]},
        {"start": 3, "end": 4, "text": [TEXTS[2]], "labels": ["አበበ"]},
    )
    document = [task("0.wav", whole), task("1.wav", *parts), task("2.wav")]
    source = make_files(tmp_path, {**FILES, "export.json": json.dumps(document)})
    assert [
        (c.source, c.text, c.start, c.end, c.speaker) for c in entries(source) if isinstance(c, Clip)
    ] == [
        ("wavs/0.wav", TEXTS[0], 0.0, None, ""),
        ("wavs/1.wav", TEXTS[1], 1.0, 2.5, ""),
        ("wavs/1.wav", TEXTS[2], 3.0, 4.0, "አበበ"),
        ("wavs/2.wav", "", 0.0, None, ""),  # nobody has written its text: set aside later
    ]


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def wav_bytes(seed: int) -> bytes:
    handle = io.BytesIO()
    soundfile.write(handle, speech(seed, seconds=1.0), 16000, format="WAV")
    return handle.getvalue()


@pytest.mark.parametrize("kind", ["float", "double", "int16", "two channels", "a column of its own"])
def test_samples_are_audio(tmp_path: Path, kind: str):
    samples = speech(1, seconds=0.5)
    array: Any = samples.tolist()
    if kind == "int16":
        array = np.rint(samples * 32767).astype(np.int16).tolist()
    elif kind == "two channels":
        array = [samples.tolist(), samples.tolist()]
    kinds: dict[str, Any] = {
        "float": pyarrow.list_(pyarrow.float32()),
        "int16": pyarrow.list_(pyarrow.int16()),
    }
    values = pyarrow.array([array], kinds.get(kind))
    rate = pyarrow.array([16000])
    columns: dict[str, Any] = {
        "audio": pyarrow.StructArray.from_arrays([values, rate], ["array", "sampling_rate"])
    }
    if kind == "a column of its own":
        columns = {"audio": values, "sampling_rate": rate}
    [clip] = clips(parquet(tmp_path / "p.parquet", {**columns, "text": [TEXTS[0]]}))
    decoded = decode(clip.path, data=clip.data)
    assert decoded.sample_rate == 16000
    np.testing.assert_allclose(decoded.samples, samples, atol=1e-4)


def test_fleurs_as_parquet(tmp_path: Path):
    columns = {
        "id": [7, 7],
        "num_samples": [16000, 16000],
        "path": ["11.wav", "12.wav"],
        "audio": [{"bytes": wav_bytes(n), "path": f"{n}.wav"} for n in (11, 12)],
        "transcription": ["ሰላም ለሁሉም"] * 2,
        "raw_transcription": ["ሰላም፣ ለሁሉም።"] * 2,
        "language": ["Amharic", "Amharic"],
    }
    parquet(tmp_path / "in/train.parquet", columns)
    assert run(tmp_path / "in", tmp_path / "out").kept == 2
    assert {row["text"] for row in rows(tmp_path / "out/manifest.jsonl")} == {"ሰላም፣ ለሁሉም።"}


def test_what_save_to_disk_writes(tmp_path: Path):
    table = pyarrow.table(
        {
            "audio": [{"bytes": wav_bytes(n), "path": f"{n}.wav"} for n in range(3)],
            "text": list(TEXTS),
            "lang": ["am", "am", "en"],
        }
    )
    folder = tmp_path / "in/train"
    folder.mkdir(parents=True)
    with pyarrow.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    (folder / "cache-0123.arrow").write_bytes(b"x")
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    make_files(
        tmp_path / "in", {"dataset_dict.json": '{"splits": ["train"]}', "train/state.json": json.dumps(state)}
    )
    for source in (tmp_path / "in", folder, folder / "data-00000-of-00001.arrow"):
        assert choose_importer(source).name == "hf"
        found = entries(source)
        assert [entry.text for entry in found] == list(TEXTS)
        assert [entry.finding.rule for entry in found if isinstance(entry, Fault)] == ["other-language"]
    make_files(
        tmp_path / "in", {"train/state.json": json.dumps({**state, "_indices_files": [{"filename": "i"}]})}
    )
    with pytest.raises(AmttsError, match="flatten_indices"):
        choose_importer(tmp_path / "in")


def test_times_and_named_columns_of_parquet(tmp_path: Path):
    make_files(tmp_path, {"a.wav": "x"})
    columns = {
        "path": ["a.wav"] * 2,
        "start": [0.5, 2.0],
        "end": [1.5, 3.0],
        "satz": list(TEXTS[:2]),
        "note": ["x", "y"],
    }
    found = clips(parquet(tmp_path / "p.parquet", columns))
    assert [(c.text, c.start, c.end) for c in found] == [(TEXTS[0], 0.5, 1.5), (TEXTS[1], 2.0, 3.0)]


def test_audio_objects_in_a_list_under_a_name(tmp_path: Path):
    listed = [{"audio": {"path": f"wavs/{n}.wav"}, "text": text} for n, text in enumerate(TEXTS)]
    make_files(tmp_path, {**FILES, "data.json": json.dumps({"data": listed})})
    assert [(clip.source, clip.text) for clip in clips(tmp_path)] == list(zip(FILES, TEXTS, strict=True))
