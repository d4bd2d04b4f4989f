"""The notebook's cells run, in small form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from tiny_voice import RATE, make_corpus, tiny_config

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook" / "demo.ipynb"
NOT_HERE = {"install", "listen"}
"""Tags of cells that need Jupyter."""


def cells() -> list[tuple[set[str], str]]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in found if cell["cell_type"] == "code"]
    return [(set(cell["metadata"].get("tags", ())), "".join(cell["source"])) for cell in code]


def test_the_notebook_holds_no_outputs_and_names_what_exists() -> None:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in found["cells"])
    values: dict[str, Any] = {}
    exec(next(source for tags, source in cells() if "settings" in tags), values)
    assert (ROOT / values["recordings"]).is_dir()
    assert (ROOT / values["settings"]["model"]["vocoder"]).is_dir()


@pytest.mark.slow
def test_the_notebook_runs_in_small_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "recordings", train_items=80)
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    (corpus / "metadata.csv").write_text(
        "".join(f"{row['audio_filepath']}|{row['text']}\n" for row in rows), encoding="utf-8"
    )
    for left in ("train.jsonl", "val.jsonl"):
        (corpus / left).unlink()
    monkeypatch.chdir(ROOT)
    config = tiny_config()[0].model_dump(mode="json", exclude_unset=True)
    small = {"preset": "tiny", "data": config["data"], "training": config["training"]}
    values: dict[str, Any] = {}
    for tags, source in cells():
        if tags & NOT_HERE:
            continue
        exec(compile(source, str(NOTEBOOK), "exec"), values)
        if "settings" in tags:
            values |= {"recordings": str(corpus), "folder": str(tmp_path / "made"), "settings": small}
    wave, rate = soundfile.read(tmp_path / "made" / "hello.wav")
    assert rate == RATE
    assert wave.any()
    assert (tmp_path / "made" / "evaluation" / "report.html").is_file()
