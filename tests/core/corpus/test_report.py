"""The report of a corpus: the same numbers as the manifest and the ledger, on a page that needs nothing else."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from prepared import contents, rows, run
from recordings import SENTENCES, add_line, make_corpus, speech, write_wav

from amtts_core.corpus.report import page as page_module
from amtts_core.corpus.report.build import write_report
from amtts_core.corpus.report.model import CorpusReport, Histogram
from amtts_core.corpus.report.suspects import suspicion
from amtts_core.errors import AmttsError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    make_corpus(source, 8)
    noise = np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    write_wav(source / "noisy.wav", speech(50) + 0.03 * noise)
    add_line(source, "noisy.wav|ሁሉም <script>alert('x')</script> & ሰላም")
    add_line(source, "missing.wav|ሰላም <b>")
    run(source, out)
    return out


class Page(html.parser.HTMLParser):
    """Tags and the addresses that the page asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_numbers_are_those_of_the_manifest(corpus: Path):
    report = CorpusReport.model_validate_json((corpus / "report.json").read_text(encoding="utf-8"))
    kept = rows(corpus / "manifest.jsonl")
    assert (report.total, report.kept, report.rejected) == (10, 9, 1)
    assert report.seconds == pytest.approx(sum(row["duration"] for row in kept), abs=1e-3)
    assert {name: size.utterances for name, size in report.splits.items() if size.utterances} == {
        split: len(rows(corpus / f"{split}.jsonl"))
        for split in ("train", "val", "test")
        if rows(corpus / f"{split}.jsonl")
    }
    assert all(histogram.total == 9 for histogram in report.histograms.values())
    assert len(report.letters) == 231
    text = "".join(row["normalized_text"] for row in kept)
    assert all(count == text.count(letter) for letter, count in report.letters.items())
    assert report.rejections["missing-file"].count == 1
    assert report.worst[0].id == "noisy"
    assert "dB over the noise" in " ".join(report.worst[0].reasons)
    assert report.warnings == json.loads((corpus / "prepare.json").read_text(encoding="utf-8"))["warnings"]


def test_the_page_needs_nothing_else(corpus: Path):
    text = (corpus / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"https?://|url\(|@import", text)
    assert page.tags.count("audio") == len(page.addresses) >= 1
    assert all(address.startswith("data:audio/flac;base64,") for address in page.addresses)
    assert "&lt;script&gt;" in text
    assert page.tags.count("td") >= 231
    for part in ("missing-file", "prefers-color-scheme: dark", "viewport"):
        assert part in text


def test_a_page_without_audio_inside_plays_it_from_the_folder(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    def addresses(**how: bool) -> list[str]:
        write_report(corpus, **how)
        return Page((corpus / "report.html").read_text(encoding="utf-8")).addresses

    linked = addresses(embed_audio=False)
    assert linked
    assert all((corpus / address).is_file() for address in linked)
    monkeypatch.setattr(page_module, "_ALL", 10)  # the page stays small, whatever the corpus
    assert addresses() == linked
    monkeypatch.undo()
    assert len(addresses()) == len(linked)


def test_the_command_writes_the_same_page(corpus: Path):
    before = contents(corpus)
    assert call("report", corpus, "--json").json()["kept"] == 9
    assert contents(corpus) == before
    call("report", corpus / "audio").refused("is no corpus folder", "amtts prepare")


def test_a_manifest_of_another_tool(tmp_path: Path):
    lines = [
        {"audio_filepath": f"{n}.wav", "duration": 2.0, "text": sentence}
        for n, sentence in enumerate(SENTENCES)
    ]
    (tmp_path / "manifest.jsonl").write_text(
        "\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8"
    )
    report = write_report(tmp_path)
    assert (report.kept, report.rejected, report.worst) == (12, 0, [])
    (tmp_path / "manifest.jsonl").write_text("no json\n", encoding="utf-8")
    with pytest.raises(AmttsError, match="line 1"):
        write_report(tmp_path)
    with pytest.raises(AmttsError, match="no corpus folder"):
        write_report(tmp_path / "nowhere")


def test_histograms_count_what_lies_outside():
    counted = Histogram(title="x", unit="s", start=0, step=1, counts=[0] * 4)
    for value in (-5, 0.5, 1.5, 1.6, 99):
        counted.add(value)
    assert counted.counts == [2, 2, 0, 1]
    assert counted.quantile(0.5) == 1.5


def test_each_complaint():
    good = {"pace": 1.0, "snr": 40.0, "clipped": 0.0, "loudness": -23.0, "bandwidth": 11000, "silence": 0.1}
    assert suspicion(good, 22050) == (0, [])
    for name, value in {
        "pace": 2.0,
        "snr": 5.0,
        "clipped": 0.01,
        "loudness": -60.0,
        "bandwidth": 4000,
    }.items():
        score, reasons = suspicion({**good, name: value}, 22050)
        assert score > 0.5
        assert len(reasons) == 1
    assert suspicion({}, None) == (0, [])
