"""Corrections by hand stand beside a corpus, and a merge applies them to a new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prepared import contents, run
from recordings import make_corpus

from amtts_core.corpus.edits import EDITS, Edit, add_edit, read_edits
from amtts_core.corpus.manifest import read_manifest
from amtts_core.corpus.merge import MergeSettings, merge_corpora
from amtts_core.errors import AmttsError


def test_the_last_edit_of_an_utterance_counts(tmp_path: Path) -> None:
    add_edit(tmp_path, "a", text="  ሰላም \n ነው ")
    add_edit(tmp_path, "a", keep=False)
    add_edit(tmp_path, "b", keep=False)
    add_edit(tmp_path, "b", keep=True)
    add_edit(tmp_path, "c", text="ጽሑፍ")
    add_edit(tmp_path, "c", text="")
    assert read_edits(tmp_path) == {"a": Edit("a", "ሰላም ነው", keep=False)}
    with pytest.raises(AmttsError, match="at most 2000"):
        add_edit(tmp_path, "a", text="ሀ" * 2001)
    (tmp_path / EDITS).write_text('{"id": "a", "keep": "no"}\n')
    with pytest.raises(AmttsError, match="line 1 is no edit"):
        read_edits(tmp_path)


def test_a_new_version_of_one_corpus(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    run(make_corpus(tmp_path / "in", 6), corpus)
    with pytest.raises(AmttsError, match="two corpora or more"):
        merge_corpora([corpus], tmp_path / "new", MergeSettings())
    first, second, third, *_ = list(read_manifest(corpus / "manifest.jsonl"))
    add_edit(corpus, first.id, text="ዛሬ 2 ቤት")
    add_edit(corpus, second.id, keep=False)
    add_edit(corpus, third.id, keep=False)
    before = contents(corpus)
    report = merge_corpora([corpus], tmp_path / "new", MergeSettings(max_rejected=0))
    assert (report.total, report.kept, report.corrected, report.reasons) == (6, 4, 1, {"by-hand": 2})
    rows = {row.id: row for row in read_manifest(tmp_path / "new/manifest.jsonl")}
    assert rows[first.id].text == "ዛሬ 2 ቤት"
    assert rows[first.id].normalized_text == "ዛሬ ሁለት ቤት", "as the corpus' other texts were normalized"
    assert second.id not in rows
    ledger = [json.loads(line) for line in (tmp_path / "new/rejected.jsonl").read_text().splitlines()]
    assert {row["id"] for row in ledger} == {second.id, third.id}
    assert contents(corpus) == before
