"""`amtts merge`, `amtts split` and `amtts prepare --from` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prepared import rows
from recordings import make_corpus, speech, write_wav


def test_prepare_merge_split(tmp_path: Path, amtts):
    for name in ("a", "b"):
        for number in range(3):
            seed = number + 10 * (name == "b")
            write_wav(tmp_path / f"{name}-in/u{number}.wav", speech(seed))
            (tmp_path / f"{name}-in/u{number}.txt").write_text(
                f"ይህ {name} ቁጥር {number + 1} ነው።", encoding="utf-8"
            )
        done = amtts("prepare", f"{name}-in", "--out", name, "--jobs", 1, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = amtts("merge", "a", "b", "--out", "both", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 in = 6 kept (a 3, b 3) + 0 dropped" in done.stdout
    assert "licenses: a: not stated; b: not stated" in done.stdout
    done = amtts("split", "both", "--val", 0.3, "--test", 0.3, "--by", "speaker", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "2 speaker(s), but 3 sides" in done.stderr
    done = amtts("split", "both", "--val", 0.3, "--test", 0, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["total"] == 6
    assert {row["split"] for row in rows(tmp_path / "both/manifest.jsonl")} <= {"train", "val"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("merge", "in", "--out", "out"), "two corpora or more"),
        (("merge", "in", "none", "--out", "out"), "holds no manifest.jsonl"),
        (("split", "in"), "holds no manifest.jsonl"),
        (("split", "in", "--val", "2"), "is no share"),
        (("prepare", "in", "--from", "kaldi", "--out", "out"), "no Kaldi data folder"),
        (("prepare", "two", "--out", "out"), "more than one way: csv, wav-txt"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, amtts, arguments: tuple[str, ...], said: str
):
    make_corpus(tmp_path / "in", 1)
    (make_corpus(tmp_path / "two", 1) / "wavs/clip00.txt").write_text("ሰላም", encoding="utf-8")
    done = amtts(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()
