"""Utterances as a backend sees them: tokens, features, exclusions, and batches made ahead."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_voice import make_corpus, tiny_backend

from amtts_core.contract.backend import Backend
from amtts_core.corpus.manifest import Utterance, read_manifest
from amtts_core.data.dataset import load_dataset, prefetch
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import write_jsonl


@pytest.fixture(scope="module")
def backend() -> Backend:
    return tiny_backend("chatterbox-mel")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", train_items=4, val_items=1)


def change(manifest: Path, index: int, **values: object) -> None:
    rows = list(read_manifest(manifest))
    rows[index] = rows[index].model_copy(update=values)
    write_jsonl(manifest, rows)


def test_examples_hold_the_tokens_and_features_of_their_utterance(backend: Backend, corpus: Path) -> None:
    dataset = load_dataset(backend, corpus / "train.jsonl", corpus / "features")
    rows = list(read_manifest(corpus / "train.jsonl"))
    assert len(dataset) == len(rows) == 4
    assert dataset.seconds() == pytest.approx(sum(u.duration for u in rows))
    assert dataset.excluded == []
    for index, utterance in enumerate(rows):
        example = dataset.example(index)
        assert example.id == utterance.id
        assert example.tokens == backend.text_tokenizer.encode(utterance.text)
        wave, _ = soundfile.read(corpus / utterance.audio_filepath, dtype="float32")
        mel = backend.features(wave).arrays["mel"]
        np.testing.assert_allclose(example.features["mel"], mel, atol=0.01)
        assert dataset.frames()[index] == len(mel)
    batch = dataset.batch([2, 0])
    assert batch["ids"] == [rows[2].id, rows[0].id]


def test_the_normalised_text_is_learnt_where_there_is_one(backend: Backend, corpus: Path) -> None:
    change(corpus / "train.jsonl", 0, text="12", normalized_text="አስራ ሁለት")
    change(corpus / "train.jsonl", 1, text="ሰላም", normalized_text="")
    dataset = load_dataset(backend, corpus / "train.jsonl", corpus / "features")
    assert dataset.tokens[0] == backend.text_tokenizer.encode("አስራ ሁለት")
    assert dataset.tokens[1] == backend.text_tokenizer.encode("ሰላም")


def test_what_cannot_be_learnt_is_left_out_with_a_reason(backend: Backend, corpus: Path) -> None:
    soundfile.write(corpus / "audio/u001.wav", np.full(2000, 0.1, np.float32), 22050)
    change(corpus / "train.jsonl", 2, text="", normalized_text="")
    dataset = load_dataset(backend, corpus / "train.jsonl", corpus / "features")
    first, second = dataset.excluded
    symbols = len(backend.text_tokenizer.encode(list(read_manifest(corpus / "train.jsonl"))[1].text)) + 2
    assert (first.id, first.reason) == ("u001", f"7 frames are too few for {symbols} symbols")
    assert (second.id, second.reason) == ("u002", "its text has no token")
    assert [u.id for u in dataset.utterances] == ["u000", "u003"]
    assert dataset.example(1).id == "u003"
    wave, _ = soundfile.read(corpus / "audio/u003.wav", dtype="float32")
    assert dataset.frames()[1] == len(wave) // 256, "the features are those of the utterance, not of the row"
    assert dataset.statistics()["mel_mean"].shape == (80,)


def test_no_usable_utterance_is_an_error_with_an_example(backend: Backend, corpus: Path) -> None:
    rows = [
        u.model_copy(update={"text": "", "normalized_text": ""})
        for u in read_manifest(corpus / "train.jsonl")
    ]
    write_jsonl(corpus / "train.jsonl", rows)
    with pytest.raises(AmttsError, match="no usable utterance; 'u000': its text has no token"):
        load_dataset(backend, corpus / "train.jsonl", corpus / "features")


def test_an_empty_manifest_is_an_error(backend: Backend, corpus: Path) -> None:
    (corpus / "train.jsonl").write_text("\n\n")
    with pytest.raises(AmttsError, match="holds no utterance"):
        load_dataset(backend, corpus / "train.jsonl", corpus / "features")


def test_max_samples_takes_the_first(backend: Backend, corpus: Path) -> None:
    dataset = load_dataset(backend, corpus / "train.jsonl", corpus / "features", max_samples=2)
    assert [u.id for u in dataset.utterances] == ["u000", "u001"]


def test_missing_audio_is_refused_above_the_share_and_listed_below_it(backend: Backend, corpus: Path) -> None:
    (corpus / "audio/u002.wav").unlink()
    manifest = corpus / "train.jsonl"
    with pytest.raises(AmttsError, match=r"1 of \d+ utterances are unusable .* first: utterance 'u002'"):
        load_dataset(backend, manifest, corpus / "features", max_excluded=0.02)
    dataset = load_dataset(backend, manifest, corpus / "features", max_excluded=0.5)
    assert [row.id for row in dataset.excluded] == ["u002"]
    assert "u002" not in [u.id for u in dataset.utterances]


def test_an_id_that_stands_twice_is_learnt_once(backend: Backend, corpus: Path) -> None:
    manifest = corpus / "train.jsonl"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    manifest.write_text("\n".join([*lines, lines[0]]) + "\n", encoding="utf-8")
    with pytest.raises(AmttsError, match="unusable .* has the id 'u000' too"):
        load_dataset(backend, manifest, corpus / "features")
    dataset = load_dataset(backend, manifest, corpus / "features", max_excluded=0.5)
    assert len(dataset) == len(lines)
    assert [row.id for row in dataset.excluded] == ["u000"]


def test_a_bad_manifest_line_is_listed_with_its_number(backend: Backend, corpus: Path) -> None:
    manifest = corpus / "train.jsonl"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    manifest.write_text("\n".join([lines[0], "{broken", *lines[1:]]) + "\n", encoding="utf-8")
    with pytest.raises(AmttsError, match=r"unusable .* line 2"):
        load_dataset(backend, manifest, corpus / "features")
    dataset = load_dataset(backend, manifest, corpus / "features", max_excluded=0.5)
    assert len(dataset) == len(lines)
    assert "line 2" in dataset.excluded[0].reason


def test_audio_elsewhere_by_absolute_path(backend: Backend, corpus: Path, tmp_path: Path) -> None:
    wave = tmp_path / "elsewhere.flac"
    soundfile.write(wave, np.random.default_rng(0).normal(size=20000) * 0.1, 16000)
    row = Utterance(id="far", audio_filepath=str(wave), duration=1.25, text="ሰላም")
    write_jsonl(corpus / "train.jsonl", [row])
    dataset = load_dataset(backend, corpus / "train.jsonl", corpus / "features")
    assert dataset.frames() == [27562 // 256], "resampled to the backend's rate"


# ---- batches made ahead ----


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_prefetch_keeps_order_and_loses_nothing(count: int, ahead: int) -> None:
    batches = [[number] for number in range(count)]
    made = prefetch(lambda batch: {"value": torch.tensor(batch)}, batches, ahead=ahead)
    assert [int(batch["value"]) for batch in made] == list(range(count))


def test_prefetch_works_in_another_thread_and_only_a_little_ahead() -> None:
    made: list[int] = []
    threads: set[int] = set()

    def make(batch: list[int]) -> dict[str, int]:
        made.append(batch[0])
        threads.add(threading.get_ident())
        return {"value": batch[0]}

    stream = prefetch(make, [[number] for number in range(50)], ahead=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.get_ident() not in threads
    assert len(made) <= 3


def test_an_exception_while_making_a_batch_reaches_the_loop() -> None:
    def make(batch: list[int]) -> dict[str, int]:
        if batch == [2]:
            raise AmttsError("utterance 'u2' is broken")
        return {"value": batch[0]}

    stream = prefetch(make, [[0], [1], [2], [3]])
    assert [next(stream)["value"], next(stream)["value"]] == [0, 1]
    with pytest.raises(AmttsError, match="u2"):
        next(stream)


def test_a_tokenizer_of_another_text_is_told(
    corpus: Path, backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = corpus / "train.jsonl"
    load_dataset(backend, manifest, tmp_path / "features", jobs=1)
    assert "unknown" not in caplog.text
    for number in range(4):
        change(manifest, number, normalized_text="Привет всем")
    load_dataset(backend, manifest, tmp_path / "features", jobs=1)
    assert "% of the text tokens" in caplog.text
