"""A corpus is split anew: no sentence on two sides, no speaker where that is asked for, and nothing lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prepared import rows

from amtts_core.corpus.split_corpus import CorpusSplit, split_corpus
from amtts_core.errors import AmttsError
from amtts_core.storage.json_lines import write_jsonl


def write(folder: Path, spoken: list[tuple[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(
        folder / "manifest.jsonl",
        (
            {
                "id": f"u{n}",
                "audio_filepath": f"{n}.flac",
                "duration": 1.5,
                "text": text,
                "speaker": speaker,
                "x": n,
            }
            for n, (speaker, text) in enumerate(spoken)
        ),
    )
    return folder


def sides(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {side: rows(folder / f"{side}.jsonl") for side in ("train", "val", "test")}


def check(folder: Path, report: CorpusSplit) -> None:
    """The promise: every row in one split or in the ledger, and no sentence in two."""
    parts = sides(folder)
    left = rows(folder / "split-rejected.jsonl") if report.left_out else []
    ids = [row["id"] for part in (*parts.values(), left) for row in part]
    assert sorted(ids) == sorted(row["id"] for row in rows(folder / "manifest.jsonl"))
    assert len(ids) == report.total == len(set(ids))
    texts = {
        side: {"".join(filter(str.isalnum, row["text"])) for row in part} for side, part in parts.items()
    }
    assert not texts["train"] & texts["val"]
    assert not texts["train"] & texts["test"]
    assert not texts["val"] & texts["test"]
    if report.by == "speaker":
        speakers = [{row["speaker"] for row in part} for part in parts.values()]
        assert sum(map(len, speakers)) == len(set().union(*speakers))


SPOKEN = [(f"s{n % 8}", f"ዓረፍተ ነገር {chr(0x1200 + n % 60 * 8)}።") for n in range(400)]


def test_by_sentence(tmp_path: Path):
    report = split_corpus(write(tmp_path, SPOKEN), val=0.2, test=0.1)
    check(tmp_path, report)
    parts = sides(tmp_path)
    assert all(parts.values())
    assert report.splits["train"].seconds == pytest.approx(1.5 * len(parts["train"]))
    assert [row["x"] for row in rows(tmp_path / "manifest.jsonl")] == list(range(400))
    before = {row["id"]: row["split"] for row in rows(tmp_path / "manifest.jsonl")}
    write(tmp_path, [*SPOKEN, ("new", "አዲስ ዓረፍተ ነገር")])
    split_corpus(tmp_path, val=0.2, test=0.1)
    after = {row["id"]: row["split"] for row in rows(tmp_path / "manifest.jsonl")}
    assert all(after[name] == side for name, side in before.items())


def test_by_speaker_leaves_shared_sentences_on_one_side(tmp_path: Path):
    own = [(f"s{n % 8}", f"የራሱ {n} ዓረፍተ ነገር") for n in range(80)]
    shared = [(f"s{n}", "ሁሉም የሚለው") for n in range(8)]
    report = split_corpus(write(tmp_path, own + shared), val=0.2, test=0.2, by="speaker")
    check(tmp_path, report)
    assert 0 < report.left_out < 8
    assert {row["rule"] for row in rows(tmp_path / "split-rejected.jsonl")} == {"sentence-on-other-side"}
    assert all(count >= 1 for count in report.speakers.values())
    assert sum(report.speakers.values()) == 8
    split_corpus(tmp_path, val=0.1, test=0.1)
    assert not (tmp_path / "split-rejected.jsonl").exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spoken=st.lists(
        st.tuples(st.sampled_from("ሀለሐመሠ"), st.sampled_from("አበገደሀወዘ")), min_size=30, max_size=60
    ),
    val=st.floats(0, 0.4),
    test=st.floats(0, 0.4),
    by=st.sampled_from(["sentence", "speaker"]),
)
def test_no_sentence_stands_on_both_sides(
    tmp_path: Path, spoken: list[tuple[str, str]], val: float, test: float, by: str
):
    spoken += [(speaker, "ሁሉም") for speaker in "ሀለሐመሠ"]
    check(tmp_path, split_corpus(write(tmp_path, spoken), val=val, test=test, by=by))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"val": 0.6, "test": 0.5}, "leave nothing to train on"),
        ({"val": -0.1}, "is no share"),
        ({"by": "sex"}, "known: sentence, speaker"),
        ({"by": "speaker"}, "name no speaker"),
    ],
)
def test_mistakes(tmp_path: Path, more: dict[str, Any], said: str):
    write(tmp_path, [("", "ሰላም"), ("s", "ደህና")])
    with pytest.raises(AmttsError, match=said):
        split_corpus(tmp_path, **{"val": 0.1, "test": 0.1, **more})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.jsonl"]


def test_too_few_speakers_and_no_corpus(tmp_path: Path):
    with pytest.raises(AmttsError, match="3 sides need one each"):
        split_corpus(write(tmp_path, SPOKEN[:2]), val=0.1, test=0.1, by="speaker")
    with pytest.raises(AmttsError, match=r"holds no manifest\.jsonl"):
        split_corpus(tmp_path / "none", val=0.1, test=0.1)
    report = split_corpus(write(tmp_path, SPOKEN[:2]), val=0.001, test=0.0)
    assert any("val split is empty" in warning for warning in report.warnings)
