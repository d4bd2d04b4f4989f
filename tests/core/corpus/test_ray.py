"""`--executor ray`: the same corpus bit for bit, and one line where Ray cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import call
from prepared import add_hostile, contents
from recordings import add_line, make_corpus

from amtts_core.corpus.executors import choose_executor
from amtts_core.errors import AmttsError


@pytest.mark.slow
def test_ray_makes_the_same_corpus_and_resumes(tmp_path: Path, amtts):
    pytest.importorskip("ray", reason="the extra amtts[ray] is not installed")
    pytest.importorskip("pandas", reason="the extra amtts[ray] is not installed")
    source = make_corpus(tmp_path / "in", 6)
    add_hostile(source)
    add_line(source, "wavs/clip01.wav|ሌላ ጽሑፍ ነው።")  # a duplicate, which depends on the order
    arguments = ("prepare", source, "--max-rejected", "1", "--jobs", 2)
    local = amtts(*arguments, "--out", tmp_path / "local")
    done = amtts(
        *arguments, "--out", tmp_path / "ray", "--executor", "ray", env={"RAY_ADDRESS": ""}, timeout=400
    )
    assert (local.returncode, done.returncode) == (0, 0), local.stderr + done.stderr
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert done.stdout.replace(str(tmp_path / "ray"), "") == local.stdout.replace(str(tmp_path / "local"), "")
    assert "WARNING" not in done.stderr
    (tmp_path / "ray/manifest.jsonl").unlink()
    again = amtts(
        *arguments, "--out", tmp_path / "ray", "--json"
    )  # the journal does not ask who did the work
    assert again.returncode == 0, again.stderr
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_no_ray_is_one_line_that_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    source = make_corpus(tmp_path / "in", 2)
    done = call("prepare", source, "--out", tmp_path / "out", "--executor", "ray")
    done.refused("--executor ray", "pip install 'amtts[ray]'")
    assert not (tmp_path / "out").exists()


def test_an_unknown_executor_is_told_with_the_nearest():
    with pytest.raises(AmttsError, match="'rya'.*'ray'.*local, ray"):
        choose_executor("rya")


def test_a_cluster_that_does_not_answer_is_told_at_once(tmp_path: Path, amtts):
    pytest.importorskip("ray", reason="the extra amtts[ray] is not installed")
    source = make_corpus(tmp_path / "in", 2)
    arguments = ("prepare", source, "--out", tmp_path / "out", "--executor", "ray")
    done = amtts(*arguments, env={"RAY_ADDRESS": "127.0.0.1:9"})
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "RAY_ADDRESS=127.0.0.1:9 cannot be reached" in done.stderr
