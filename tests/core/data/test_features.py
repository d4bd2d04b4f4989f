"""The feature store: what goes in comes out, computed once, made again when the audio changes."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile

from amtts_core.contract.backend import BackendSpec
from amtts_core.contract.types import Features
from amtts_core.corpus.manifest import Utterance
from amtts_core.data.features import build_store, feature_extractor, load_utterance
from amtts_core.errors import AmttsError
from amtts_core.settings import Settings
from amtts_core.storage.feature_store import FeatureStore, _remove_remains


class Probe:
    """A feature maker that is no network: three arrays of different lengths and kinds."""

    spec: ClassVar[BackendSpec] = BackendSpec(
        name="probe", summary="", sample_rate=16000, learns_from="mel", config=Settings, presets={"tiny": {}}
    )
    made: ClassVar[list[int]] = []

    sample_rate = 16000

    def __init__(self, config: dict[str, float]) -> None:
        self.config = config

    def feature_key(self) -> str:
        return str(self.config)

    def features(self, waveform: np.ndarray) -> Features:
        self.made.append(len(waveform))
        rows = waveform[: len(waveform) // 4 * 4].reshape(-1, 4)
        codes = np.arange(len(waveform) // 100, dtype=np.int64)
        arrays = {"rows": rows * self.config["gain"], "codes": codes, "level": np.abs(waveform[:50])}
        return Features(arrays=arrays)


GAIN = {"gain": 1.0}


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, list[Utterance]]:
    Probe.made.clear()
    random = np.random.default_rng(0)
    utterances = []
    for number in range(5):
        wave = (random.standard_normal(1600 + 400 * number) * 0.2).astype(np.float32)
        soundfile.write(tmp_path / f"{number}.wav", wave, 16000, subtype="FLOAT")
        utterances.append(
            Utterance(id=f"u{number}", audio_filepath=f"{number}.wav", duration=len(wave) / 16000, text="ሀ")
        )
    return tmp_path / "train.jsonl", utterances


def build(corpus: tuple[Path, list[Utterance]], **changes: Any) -> FeatureStore:
    manifest, utterances = corpus
    config = changes.pop("config", GAIN)
    arguments: dict[str, Any] = {
        "utterances": utterances,
        "cache": manifest.parent / "features",
        **changes,
    }
    recipe = feature_extractor(Probe(config))  # type: ignore[arg-type]
    return build_store(recipe, manifest=manifest, **arguments)


def test_arrays_come_back_within_half_precision(corpus: tuple[Path, list[Utterance]]) -> None:
    manifest, utterances = corpus
    store = build(corpus)
    assert store.ids == [u.id for u in utterances]
    assert len(store) == 5
    for index, utterance in enumerate(utterances):
        wave = load_utterance(utterance, manifest, 16000)
        expected = Probe(GAIN).features(wave).arrays
        got = store.get(index)
        assert store.lengths(index) == {name: len(array) for name, array in expected.items()}
        assert got["rows"].dtype == np.float32
        np.testing.assert_allclose(got["rows"], expected["rows"], rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(got["codes"][:, 0], expected["codes"])
        assert got["codes"].dtype == np.int64
        np.testing.assert_allclose(got["level"][:, 0], expected["level"], rtol=1e-3, atol=1e-6)


def test_line_ends_of_unicode_in_an_id_or_a_problem_end_no_row(corpus: tuple[Path, list[Utterance]]) -> None:
    manifest, utterances = corpus
    keys = ["a\u2028b", "c\x85d", "e\x0bf\x0cg", "h\u2029i\x1ej", "ሰላም፡"]
    named = [u.model_copy(update={"id": key}) for u, key in zip(utterances, keys, strict=True)]
    named[1] = named[1].model_copy(update={"audio_filepath": "no\u2028such\x85file.wav"})
    store = build((manifest, named))
    assert store.ids == keys
    assert list(store.problems) == [1]
    assert "No such file" in store.problems[1]
    raw = (store.folder / "rows.jsonl").read_text(encoding="utf-8")
    assert len(raw.splitlines()) == 5, "other programs may split the lines as Python does"
    (store.folder / "rows.jsonl").write_text(  # as earlier versions wrote it
        "".join(json.dumps(json.loads(line), ensure_ascii=False) + "\n" for line in raw.splitlines()), "utf-8"
    )
    assert FeatureStore.open(store.folder).ids == keys


def test_an_array_given_out_may_be_changed(corpus: tuple[Path, list[Utterance]]) -> None:
    store = build(corpus)
    first = store.get(0)["rows"]
    first[:] = 99
    assert store.get(0)["rows"].max() < 99


def test_statistics_are_those_of_the_chosen_rows(corpus: tuple[Path, list[Utterance]]) -> None:
    store = build(corpus)
    chosen = [0, 2, 3]
    frames = np.concatenate([store.get(i)["rows"] for i in chosen])
    statistics = store.statistics(chosen)
    np.testing.assert_allclose(statistics["rows_mean"], frames.mean(0), atol=1e-5)
    np.testing.assert_allclose(statistics["rows_std"], frames.std(0), atol=1e-5)


def test_reused_when_nothing_changed(corpus: tuple[Path, list[Utterance]]) -> None:
    first = build(corpus)
    assert len(Probe.made) == 5
    second = build(corpus, jobs=3)
    assert len(Probe.made) == 5, "nothing was computed again"
    assert second.folder == first.folder


def test_reused_from_another_working_folder(
    corpus: tuple[Path, list[Utterance]], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, utterances = corpus
    build(corpus)
    monkeypatch.chdir(manifest.parent)
    build((Path(manifest.name), utterances), cache=Path("features"))
    assert len(Probe.made) == 5


@pytest.mark.parametrize("change", ["samples", "time", "maths", "order", "offset", "duration of a cut"])
def test_made_again_when_something_changed(corpus: tuple[Path, list[Utterance]], change: str) -> None:
    manifest, utterances = corpus
    if change == "duration of a cut":
        utterances[1] = utterances[1].model_copy(update={"offset": 0.01, "duration": 0.05})
    before = build(corpus)
    config = GAIN
    if change == "samples":
        soundfile.write(manifest.parent / "1.wav", np.full(2400, 0.5, np.float32), 16000, subtype="FLOAT")
    elif change == "time":
        os.utime(manifest.parent / "1.wav", ns=(1, 1))
    elif change == "maths":
        config = {"gain": 2.0}
    elif change == "order":
        utterances = utterances[::-1]
    elif change == "offset":
        utterances = [utterances[0].model_copy(update={"offset": 0.05, "duration": 0.04}), *utterances[1:]]
    else:
        utterances[1] = utterances[1].model_copy(update={"duration": 0.03})
    after = build((manifest, utterances), config=config)
    assert after.folder != before.folder
    assert len(Probe.made) == 10
    if change == "samples":
        assert after.get(1)["rows"].max() == 0.5
    if change == "duration of a cut":
        assert len(after.get(1)["rows"]) < len(before.get(1)["rows"])


def test_threads_keep_the_order(corpus: tuple[Path, list[Utterance]]) -> None:
    one = build(corpus, cache=corpus[0].parent / "one", jobs=1)
    many = build(corpus, cache=corpus[0].parent / "many", jobs=4)
    for index in range(5):
        np.testing.assert_array_equal(one.get(index)["rows"], many.get(index)["rows"])


def test_progress_is_told_per_utterance(corpus: tuple[Path, list[Utterance]]) -> None:
    told: list[int] = []
    build(corpus, on_progress=told.append)
    assert told == [1] * 5


@pytest.mark.parametrize("harm", ["missing", "not audio", "cut", "not finite"])
def test_bad_audio_is_kept_as_a_problem_of_its_utterance(
    corpus: tuple[Path, list[Utterance]], harm: str
) -> None:
    manifest, _ = corpus
    path = manifest.parent / "3.wav"
    if harm == "missing":
        path.unlink()
    elif harm == "not audio":
        path.write_text("hello")
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    else:
        soundfile.write(path, np.array([0.1, np.nan, 0.1], np.float32), 16000, subtype="FLOAT")
    store = build(corpus)
    assert list(store.problems) == [3]
    assert "'u3'" in store.problems[3]
    assert store.lengths(3) == dict.fromkeys(store.starts, 0)
    assert all(length > 0 for length in store.lengths(4).values()), "the others are there"
    assert build(corpus).problems == store.problems, "and stay known when the store is reused"


def test_features_that_are_not_finite_are_problems(corpus: tuple[Path, list[Utterance]]) -> None:
    for gain in (float("nan"), 1e9):  # the second overflows half precision
        store = build(corpus, config={"gain": gain})
        assert "feature 'rows' holds values that are not finite" in store.problems[0]


def test_a_kind_that_changes_between_utterances_is_a_bug(
    corpus: tuple[Path, list[Utterance]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(waveform: np.ndarray) -> Features:
        return Features(arrays={"rows": np.zeros((4, len(waveform) % 7 + 1), np.float32)})

    monkeypatch.setattr(Probe, "features", staticmethod(changing))
    with pytest.raises(ValueError, match="feature 'rows' of"):
        build(corpus)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("store.json", "{"),
        ("store.json", "[]"),
        ("store.json", '{"features": 3}'),
        ("store.json", None),
        ("rows.jsonl", '{"id": "u0"}\n'),
        ("rows.jsonl", "[1]\n"),
        ("rows.jsonl", "{"),
        ("rows.jsonl", None),
        ("rows.bin", ""),
        ("rows.bin", "abc"),
        ("codes.bin", None),
    ],
)
def test_a_damaged_store_says_what_to_delete(
    corpus: tuple[Path, list[Utterance]], name: str, content: str | None
) -> None:
    folder = build(corpus).folder
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(AmttsError, match="Delete that folder"):
        FeatureStore.open(folder)


def test_a_store_cut_short_in_its_rows_is_seen(corpus: tuple[Path, list[Utterance]]) -> None:
    folder = build(corpus).folder
    lines = (folder / "rows.jsonl").read_text().splitlines()
    (folder / "rows.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(AmttsError, match="Delete that folder"):
        FeatureStore.open(folder)


def test_a_cache_that_is_a_file_is_told(corpus: tuple[Path, list[Utterance]]) -> None:
    (corpus[0].parent / "features").write_text("x")
    with pytest.raises(AmttsError, match="features"):
        build(corpus)


def test_what_a_killed_run_left_does_not_count(corpus: tuple[Path, list[Utterance]]) -> None:
    store = build(corpus)
    left = store.folder.with_name(store.folder.name + f".tmp{os.getpid()}-{platform.node()}")
    store.folder.rename(left)
    (left / "store.json").unlink()
    assert len(build(corpus)) == 5
    assert not left.exists()
    assert json.loads((store.folder / "store.json").read_text())["features"]["rows"]["dtype"] == "float16"


def test_a_stretch_of_a_longer_file(tmp_path: Path) -> None:
    wave = np.linspace(-0.5, 0.5, 16000, dtype=np.float32)
    soundfile.write(tmp_path / "long.wav", wave, 16000, subtype="FLOAT")
    utterance = Utterance(id="cut", audio_filepath="long.wav", duration=0.25, offset=0.5, text="ሀ")
    got = load_utterance(utterance, tmp_path / "m.jsonl", 16000)
    np.testing.assert_allclose(got, wave[8000:12000], atol=1e-6)


def test_stores_are_read_only_views(corpus: tuple[Path, list[Utterance]]) -> None:
    store = build(corpus)
    assert dataclasses.is_dataclass(store)
    with pytest.raises(ValueError, match="read-only"):
        store.arrays["rows"][0] = 1


def test_the_first_stretch_of_a_long_file_ends_where_it_should(tmp_path: Path) -> None:
    """NeMo's segments: the first starts at 0 and is no whole file."""
    wave = np.linspace(-0.5, 0.5, 32000, dtype=np.float32)
    soundfile.write(tmp_path / "long.wav", wave, 16000, subtype="FLOAT")
    first = Utterance(id="first", audio_filepath="long.wav", duration=0.25, offset=0.0, text="ሀ")
    manifest = tmp_path / "train.jsonl"
    np.testing.assert_array_equal(load_utterance(first, manifest, 16000), wave[:4000])
    assert len(load_utterance(first, manifest, 8000)) == 2000
    whole = first.model_copy(update={"duration": 1.97})
    assert len(load_utterance(whole, manifest, 16000)) == 32000, "a duration that was rounded loses no end"
    longer = first.model_copy(update={"duration": 5.0})
    assert len(load_utterance(longer, manifest, 16000)) == 32000


def test_what_a_killed_process_left_in_the_cache_is_removed(tmp_path: Path) -> None:
    host = platform.node()
    gone, here, elsewhere = (
        tmp_path / n for n in (f"a.tmp99999999-{host}", f"a.tmp{os.getpid()}-{host}", "a.tmp7-far")
    )
    for folder in (gone, here, elsewhere):
        folder.mkdir()
    _remove_remains(tmp_path)
    assert [folder.exists() for folder in (gone, here, elsewhere)] == [False, True, True]
