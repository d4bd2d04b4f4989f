"""Import, Datasets and Record as a person uses them: in a browser, with mouse and keyboard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from open_studio import OpenStudio, many, open_studio, two_texts
from prepared import run
from recordings import make_corpus, speech, write_wav

from amtts_cli.studio.datasets import counts, rows_of
from amtts_core.corpus.manifest import read_manifest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]
WAIT = 30_000  # ms


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStudio]:
    folder = tmp_path_factory.mktemp("browser") / "studio"
    two_texts(folder / "in", 8)
    run(make_corpus(folder / "recordings", 6), folder / "small")
    many(folder / "many", 1000)
    with open_studio(folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, served: OpenStudio) -> Iterator[Any]:
    """The studio in English; requests that leave the machine, and errors in the page, fail the test."""
    shown = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    shown.on("pageerror", lambda error: faults.append(str(error)))
    shown.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((served.url, "data:", "blob:"))
            else faults.append(f"asked for {request.url}")
        ),
    )
    shown.goto(f"{served.url}/en/")
    yield shown
    shown.close()
    assert faults == []


def open_tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click(timeout=WAIT)


def fill(page: Any, place: str, text: str) -> None:
    page.fill(f"#{place} textarea, #{place} input", text)


def choose(page: Any, place: str, text: str) -> None:
    page.click(f"#{place} input")
    page.locator("[role=option]", has_text=text).first.click()


def test_a_column_is_corrected_and_a_dataset_made(page: Any, served: OpenStudio) -> None:
    open_tab(page, "Import")
    fill(page, "import-source", "in")
    page.click("#import-look")
    page.wait_for_selector("#import-summary .warn", timeout=WAIT)
    assert "cannot be told" in page.inner_text("#import-summary")
    assert page.locator("#import-make").is_disabled()
    choose(page, "import-role-audio", "1 ·")
    choose(page, "import-role-text", "3 ·")
    page.click("#import-again")
    page.wait_for_selector("#import-clips li", timeout=WAIT)
    assert "8 clips" in page.inner_text("#import-summary")
    assert "ሌላ ጽሑፍ 0 ነው" in page.inner_text("#import-clips")
    seconds = page.evaluate(
        """() => new Promise(done => {
            const sound = document.querySelector('#import-clips audio');
            sound.addEventListener('loadedmetadata', () => done(sound.duration));
            sound.addEventListener('error', () => done(-1));
            sound.load(); sound.preload = 'auto'; sound.play();
        })"""
    )
    assert seconds == pytest.approx(1.4, abs=0.1)
    fill(page, "import-name", "made")
    page.click("#import-make")
    page.wait_for_function(
        "document.querySelector('#import-ledger').innerText.includes('Nothing was left out')",
        timeout=4 * WAIT,
    )
    rows = list(read_manifest(served.studio.workspace.root / "made/manifest.jsonl"))
    assert {row.text for row in rows} == {f"ሌላ ጽሑፍ {n} ነው" for n in range(8)}


def open_dataset(page: Any, name: str) -> None:
    open_tab(page, "Datasets")
    choose(page, "datasets-corpus", name)
    page.wait_for_function(
        "name => document.querySelector('#datasets-line').innerText.includes(name)",
        arg="1000 utterances" if name == "many" else "6 utterances",
        timeout=WAIT,
    )


def head_is(page: Any, text: str) -> float:
    """Waits for an utterance to be shown; returns how long that took."""
    began = time.monotonic()
    page.wait_for_function(
        "text => document.querySelector('#datasets-head').innerText.includes(text)", arg=text, timeout=WAIT
    )
    return time.monotonic() - began


def test_a_thousand_rows_are_turned_without_lag(page: Any) -> None:
    open_dataset(page, "many")
    began = time.monotonic()
    fill(page, "datasets-page", "37")
    page.press("#datasets-page input", "Enter")
    page.wait_for_function(
        "document.querySelector('#datasets-table').innerText.includes('u00900')", timeout=WAIT
    )
    assert time.monotonic() - began < 5
    fill(page, "datasets-search", "ቁጥር 77")
    page.press("#datasets-search input, #datasets-search textarea", "Enter")
    page.wait_for_function(
        "document.querySelector('#datasets-line').innerText.includes('11 utterances')", timeout=WAIT
    )


def test_rows_are_judged_with_the_keyboard(page: Any, served: OpenStudio) -> None:
    corpus = served.studio.workspace.root / "small"
    first, second, third, *_ = [row.utterance.id for row in rows_of(corpus)]
    open_dataset(page, "small")
    page.locator("#datasets-table [role=gridcell]", has_text=first).first.click()
    head_is(page, first)
    page.locator("#datasets-head").click()
    page.keyboard.press("r")
    head_is(page, second)
    assert counts(corpus) == (1, 0)
    page.keyboard.press("ArrowRight")
    assert head_is(page, third) < 5
    page.keyboard.press("ArrowLeft")
    head_is(page, second)
    page.fill("#datasets-text textarea", "ዛሬ ጥሩ ቀን ነው")
    page.keyboard.press("r")  # inside of a text it is a letter
    page.fill("#datasets-text textarea", "ዛሬ ጥሩ ቀን ነው")
    page.click("#datasets-save")
    page.wait_for_function(
        "document.querySelector('#datasets-head').innerText.includes('corrected')", timeout=WAIT
    )
    assert counts(corpus) == (1, 1)
    assert rows_of(corpus)[1].text == "ዛሬ ጥሩ ቀን ነው"
    page.locator("#datasets-head").click()
    page.keyboard.press("ArrowLeft")
    head_is(page, first)
    page.keyboard.press("k")
    head_is(page, second)
    assert counts(corpus) == (0, 1)


def test_a_sentence_is_recorded_from_a_file(page: Any, served: OpenStudio, tmp_path: Path) -> None:
    take = write_wav(tmp_path / "take.wav", speech(5, level=0.4))
    open_tab(page, "Record")
    fill(page, "record-name", "words")
    fill(page, "record-list", "ሰላም ለዓለም\nዛሬ ጥሩ ቀን ነው")
    page.click("#record-make")
    page.wait_for_function(
        "document.querySelector('#record-sentence').innerText.includes('ሰላም ለዓለም')", timeout=WAIT
    )
    page.locator("#record-audio").get_by_label("Upload file").click()
    page.locator("#record-audio input[type=file]").set_input_files(str(take))
    page.wait_for_selector("#record-level .level-good", timeout=WAIT)
    assert "1.5 s" in page.inner_text("#record-level")
    page.click("#record-save")
    page.wait_for_function(
        "document.querySelector('#record-sentence').innerText.includes('ዛሬ ጥሩ ቀን ነው')", timeout=WAIT
    )
    assert (served.studio.workspace.root / "words/001.wav").is_file()
