"""`report.html`: what the run folder remembers, read back, drawn and kept in one file."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tiny_voice import train_tiny

from amtts_core.training.callbacks.report import ReportWriter
from amtts_core.training.report.curves import chart
from amtts_core.training.report.history import read_history
from amtts_core.training.report.page import render


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run & more"
    train_tiny(
        corpus,
        folder,
        training={"max_steps": 8, "validate_every": 4, "sample_every": 4, "sample_texts": ["ሰላም <ለዓለም>።"]},
    )
    return folder


class Balance(HTMLParser):
    """Tags that are opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Closed where it opens."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_holds_all_it_shows(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r'(src|href)="(?!data:)', page), "nothing is fetched"
    assert "<script" not in page
    assert page.count("data:audio/wav") == 2
    assert page.count("data:image/png") == 4
    assert "run &amp; more" in page
    assert "ሰላም &lt;ለዓለም&gt;።" in page
    for heading in ("Losses", "Samples", "Pictures", "Optimizer", "Speed", "Epochs"):
        assert f"<h2>{heading}</h2>" in page
    assert "steps, finished" in page


def test_curves_are_those_of_the_log(run: Path) -> None:
    history = read_history(run)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [(row["step"], row["train/mel"]) for row in rows if row["kind"] == "step"]
    assert history.curves["train/mel"] == steps
    assert [step for step, _ in history.curves["val/total"]] == [4, 8]
    assert history.step == 8
    assert [epoch["epoch"] for epoch in history.epochs] == [0, 1]


def test_what_a_resumed_run_did_again_is_counted_once(tmp_path: Path) -> None:
    rows = [
        {"kind": "start", "time": 100.0, "step": 0, "epoch": 0},
        *({"kind": "step", "time": 100.0 + n, "step": n, "epoch": 0, "train/total": 9.0} for n in (1, 2, 3)),
        {"kind": "epoch", "time": 103.0, "epoch": 0, "seen": 1, "expected": 2, "skipped_batches": 0},
        {"kind": "start", "time": 900.0, "step": 2, "epoch": 0},
        {"kind": "step", "time": 901.0, "step": 3, "epoch": 0, "train/total": 5.0},
        {"kind": "epoch", "time": 902.0, "epoch": 0, "seen": 2, "expected": 2, "skipped_batches": 0},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + '\n{"kind": "st'
    (tmp_path / "metrics.jsonl").write_text(text)
    (tmp_path / "excluded.jsonl").write_text(
        '{"id": "a", "reason": "audio file /x/a.wav: is cut short: 0.1 s of 2 s"}\n'
        '{"id": "b", "reason": "audio file /x/b.wav: is cut short: 0.7 s of 3 s"}\n'
    )
    history = read_history(tmp_path)
    assert history.curves["train/total"] == [(1, 9.0), (2, 9.0), (3, 5.0)]
    assert [epoch["seen"] for epoch in history.epochs] == [2]
    assert history.seconds == pytest.approx(5.0), "the pause between the two is no training"
    assert list(history.excluded.values()) == [2]


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    assert "still running" in render(tmp_path)


def test_long_curves_are_thinned_and_wild_values_kept_out() -> None:
    points = [(float(step), 100 / (step + 1)) for step in range(10_000)]
    drawn = chart("loss", {"a": [*points, (10_000.0, float("nan"))]}, fold=True)
    assert len(re.findall(r"\d+\.\d,\d+\.\d", drawn)) <= 400
    assert "nan" not in drawn
    assert "logarithmic" in drawn
    assert chart("empty", {"a": []}) == ""
    assert "<svg" in chart("flat", {"a": [(1.0, 0.0), (2.0, 0.0)]})


def test_a_page_that_cannot_be_written_ends_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    ReportWriter(tmp_path / "file")._write()
    assert "cannot be written" in caplog.text
