"""The Datasets tab: rows and pages, corrections that change no file of the dataset, commands, the report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from open_studio import many, studio_of
from prepared import contents, run
from recordings import make_corpus

from amtts_cli.studio.datasets import (
    PAGE,
    audio_of,
    correct,
    counts,
    decide,
    merge_command,
    page_of,
    rows_of,
    split_command,
    spoken,
)
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs.datasets import report_html
from amtts_core.corpus.settings import PrepareSettings
from amtts_core.errors import AmttsError


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    made = studio_of(tmp_path / "studio")
    settings = PrepareSettings(max_rejected=1.0, license="CC0-1.0", consent_note="signed <on> paper")
    run(make_corpus(made.workspace.root / "in", 6), made.workspace.root / "data", settings)
    return made


def ids(rows: Sequence[object]) -> list[str]:
    return [row.utterance.id for row in rows]  # type: ignore[attr-defined]


def test_pages_and_filters_of_ten_thousand_rows_are_quick(studio: Studio) -> None:
    corpus = many(studio.workspace.root / "many", 10_000)
    assert len(rows_of(corpus)) == 10_000
    began = time.perf_counter()
    rows = rows_of(corpus, query="99")
    shown, page, pages = page_of(rows, 3)
    took = time.perf_counter() - began
    assert [row.utterance.id for row in shown] == ids(rows)[2 * PAGE : 3 * PAGE]
    assert (page, pages) == (3, -(-len(rows) // PAGE))
    assert took < 1.0, "the manifest is not read again"
    assert page_of(rows, 10**9)[1] == pages
    assert page_of([], 5) == ([], 1, 1)


def test_the_manifest_is_read_anew_when_it_changes(studio: Studio) -> None:
    corpus = many(studio.workspace.root / "many", 3)
    assert len(rows_of(corpus)) == 3
    many(corpus, 4)
    assert len(rows_of(corpus)) == 4


def test_corrections_and_decisions_leave_the_dataset_as_it_is(studio: Studio) -> None:
    corpus = studio.workspace.root / "data"
    before = contents(corpus)
    first, second, *_ = rows_of(corpus)
    correct(corpus, first, "  ዛሬ 2 ቤት ")
    decide(corpus, second, keep=False)
    assert counts(corpus) == (1, 1)
    edited = rows_of(corpus, show="edited")
    assert ids(edited) == ids([first, second])
    assert edited[0].text == "ዛሬ 2 ቤት"
    assert spoken(corpus, edited[0]) == "ዛሬ ሁለት ቤት"
    after = contents(corpus)
    assert after.pop("edits.jsonl")
    assert after == before
    correct(corpus, edited[0], first.utterance.text)
    decide(corpus, edited[1], keep=True)
    assert counts(corpus) == (0, 0), "both are taken back"
    with pytest.raises(AmttsError, match="is empty"):
        correct(corpus, first, " \n ")


def test_a_new_version_is_written_by_a_job(studio: Studio) -> None:
    corpus = studio.workspace.root / "data"
    first, second, *_ = rows_of(corpus)
    with pytest.raises(AmttsError, match="nothing was corrected"):
        merge_command(studio.workspace, ["data"], "new")
    correct(corpus, first, "ዛሬ ጥሩ ነው")
    decide(corpus, second, keep=False)
    command = merge_command(studio.workspace, ["data"], "new")
    job = studio.jobs.start("merge", [command], title="new version", out="new")
    assert studio.jobs.wait(job.id, timeout=120).state == "done", studio.jobs.tail(job.id)
    rows = rows_of(studio.workspace.root / "new")
    assert len(rows) == 5
    assert rows[0].text == "ዛሬ ጥሩ ነው"
    assert "1 corrected by hand" in studio.jobs.tail(job.id)


def test_commands_stay_in_the_workspace(studio: Studio) -> None:
    many(studio.workspace.root / "other", 2)
    words = merge_command(studio.workspace, ["data", "other"], "both", same_speakers=True, sample_rate=22050)
    assert words == ["merge", "data", "other", "--out", "both", "--same-speakers", "--sample-rate=22050"]
    assert split_command(studio.workspace, "data", val=0.1, test=0, by="speaker") == [
        *("split", "data", "--val=0.1", "--test=0", "--by=speaker"),
    ]
    for corpora, name in (
        (["data", "../x"], "new"),
        (["data", "other"], "../new"),
        (["data", "other"], "data"),
        ([], "n"),
    ):
        with pytest.raises(AmttsError):
            merge_command(studio.workspace, corpora, name)


def test_recordings_that_are_gone_are_told(studio: Studio) -> None:
    corpus = studio.workspace.root / "data"
    row = rows_of(corpus)[0]
    assert audio_of(corpus, row).is_file()
    audio_of(corpus, row).unlink()
    with pytest.raises(AmttsError, match="is gone"):
        audio_of(corpus, row)
    with pytest.raises(AmttsError, match="is no dataset"):
        rows_of(studio.workspace.root / "in")


def test_quality_consent_and_license_are_shown(studio: Studio) -> None:
    page = report_html(studio, studio.workspace.root / "data")
    assert "CC0-1.0" in page
    assert "signed &lt;on&gt; paper" in page
    assert "<b>6</b><span>kept</span>" in page
    stored = json.loads((studio.workspace.root / "data/report.json").read_text(encoding="utf-8"))
    assert f"<b>{stored['letters_seen']}</b>" in page
    assert "amtts report" in report_html(studio, many(studio.workspace.root / "many", 1))
