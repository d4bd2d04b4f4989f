"""The studio in Chromium, as a person uses it. AMTTS_SCREENSHOTS=FOLDER writes the pictures of the docs.

Chromium is Debian's (`apt-get install chromium`), or the program that AMTTS_CHROMIUM names.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from studios import RunningStudio
from tiny_voice import make_corpus

CHROMIUM = os.environ.get("AMTTS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("AMTTS_SCREENSHOTS")
LARGEST_PICTURE = 150_000
TABS = ("speak", "import", "datasets", "tokenizer", "model", "train", "evaluate", "record", "jobs")
_HEARD = """async (selector) => {
  const player = document.querySelector(selector);
  const bytes = await (await fetch(player.src)).arrayBuffer();
  const sound = await new OfflineAudioContext(1, 1, 22050).decodeAudioData(bytes);
  const samples = sound.getChannelData(0);
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return [sound.duration, Math.sqrt(sum / samples.length)];
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with api.sync_playwright() as play:
        started = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield started
        started.close()


class Page:
    """A page of the studio that notes what goes wrong and who is asked."""

    def __init__(self, browser: Any, width: int) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(60_000)
        self.asked: list[str] = []
        self.broken: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.broken.append(str(error)))

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector("#speak-go")
        self.page.wait_for_timeout(500)

    def tab(self, name: str) -> None:
        """Opens a tab, through the menu where the page is too narrow for it."""
        button = self.page.locator(f"#tab-{name}-button")
        if button.count() and button.is_visible():
            button.click()
        else:
            label = self.page.locator(f".tab-container.visually-hidden button >> nth={TABS.index(name)}")
            words = label.inner_text()
            self.page.locator(".overflow-menu > button").click()
            self.page.locator(".overflow-dropdown button", has_text=words).click()
        self.page.wait_for_selector(f"#tab-{name}", state="visible")
        self.page.wait_for_timeout(300)

    def assert_no_sideways_scrolling(self) -> None:
        wide, window = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= window

    def assert_all_labelled(self) -> None:
        """Every input that is shown has a name for a screen reader."""
        nameless = self.page.evaluate(
            """() => [...document.querySelectorAll('input, textarea, select, button, audio')]
              .filter(e => e.offsetParent !== null && e.type !== 'file' && !e.closest('[aria-hidden=true]'))
              .filter(e => !(e.labels && [...e.labels].some(l => l.innerText.trim())) && !e.innerText.trim()
                && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby') && !e.title
                && !(e.querySelector && e.querySelector('[aria-label], title')) && !e.placeholder)
              .map(e => e.outerHTML.slice(0, 160))"""
        )
        assert nameless == []

    def picture(self, name: str) -> None:
        """Keeps the page as a small PNG where the docs are written."""
        if not PICTURES:
            return
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        small = image.quantize(64, dither=Image.Dither.NONE)
        path = Path(PICTURES) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.save(path, optimize=True)
        assert path.stat().st_size < LARGEST_PICTURE


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "my-voice").mkdir()
    make_corpus(tmp_path / "my-voice" / "corpus")
    return tmp_path / "my-voice"


def _heard(page: Page, selector: str) -> tuple[float, float]:
    page.page.wait_for_selector(selector, state="attached")
    seconds, loudness = page.page.evaluate(_HEARD, selector)
    return seconds, loudness


def _number(page: Page, label: str, value: int) -> None:
    box = page.page.get_by_label(label, exact=True).first
    box.fill(str(value))
    box.blur()


def test_train_reload_kill_find_again_stop_and_speak(browser: Any, workspace: Path, tmp_path: Path) -> None:
    with RunningStudio(workspace, tmp_path / "log") as studio:
        page = Page(browser, 1280)
        page.open(f"{studio.url}/")
        page.page.click("#speak-go")
        page.page.wait_for_selector("#speak-notes .notes")
        page.page.wait_for_selector(
            "#speak-heard [data-testid=waveform-Speech], #speak-heard audio", state="attached"
        )
        page.page.wait_for_timeout(1500)
        page.picture("speak")

        page.tab("train")
        page.page.wait_for_selector("#train-go")
        page.page.get_by_label("Preset", exact=True).click()
        page.page.get_by_role("option", name="tiny").click()
        page.page.wait_for_timeout(1500)
        page.page.click("#train-essential button")
        for key, value in (
            ("max_steps", 20_000),
            ("log_every", 5),
            ("validate_every", 15),
            ("sample_every", 15),
        ):
            _number(page, f"training.{key}", value)
        _number(page, "training.save_every", 15)
        page.picture("train-form")
        _number(page, "training.log_every", 0)
        page.page.click("#train-go")
        page.page.wait_for_selector("#train-faults .faults")
        assert "training.log_every" in page.page.inner_text("#train-faults")
        _number(page, "training.log_every", 5)
        page.page.click("#train-go")
        page.page.wait_for_selector("#tab-train .job-running")
        page.page.wait_for_selector("#train-curves svg")

        page.open(f"{studio.url}/en/")  # reload in the middle
        page.tab("train")
        page.page.wait_for_selector("#tab-train .job-running")
        studio.kill()
    with RunningStudio(workspace, tmp_path / "log2") as studio:
        page.open(f"{studio.url}/en/")
        page.tab("train")
        page.page.wait_for_selector("#tab-train .job-running")
        page.page.wait_for_selector("#train-samples audio")
        assert _heard(page, "#train-samples audio")[0] > 0.1
        page.page.locator("#train-curves").scroll_into_view_if_needed()
        page.page.wait_for_timeout(500)
        page.picture("train-curves")
        steps = int(re.findall(r"\d+", page.page.inner_text("#train-curves p"))[-1])
        assert steps >= 15
        page.page.locator("#tab-train").get_by_role("button", name="Stop", exact=True).click()
        page.page.wait_for_selector("#tab-train .job-stopped")
        assert list((workspace / "run" / "checkpoints").glob("step-*"))

        page.open(f"{studio.url}/en/")
        page.page.click("#speak-go")
        page.page.wait_for_selector("#speak-notes .notes")
        page.page.wait_for_selector("#speak-download")
        seconds, loudness = _spoken(page)
        assert 0.5 < seconds < 6
        assert loudness > 0.01
        assert not page.broken
        _assert_at_home(page, studio)


def _spoken(page: Page) -> tuple[float, float]:
    """Length and level of what the Speak tab offers for download."""
    link = page.page.locator("#speak-heard a[download], #speak-heard a[href*='file=']").first
    address = link.get_attribute("href")
    assert address
    page.page.evaluate(
        """(address) => { const sound = document.createElement('audio');
             sound.id = 'heard-here'; sound.src = address; document.body.append(sound); }""",
        address,
    )
    return _heard(page, "#heard-here")


def _assert_at_home(page: Page, studio: RunningStudio) -> None:
    """No request left the machine."""
    away = [url for url in page.asked if not url.startswith(("data:", "blob:", "http://127.0.0.1:"))]
    assert away == []


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("language", ["en", "am"])
def test_every_tab_in_both_languages_wide_and_narrow(
    browser: Any, workspace: Path, tmp_path: Path, language: str, width: int
) -> None:
    with RunningStudio(workspace, tmp_path / "log", "--language", language) as studio:
        page = Page(browser, width)
        page.open(f"{studio.url}/")
        assert page.page.evaluate("document.documentElement.lang") == language
        page.page.wait_for_function("document.fonts.check('16px \"Studio Ethiopic\"', 'ሰላም')")
        for name in TABS:
            page.tab(name)
            page.page.wait_for_timeout(1500)
            page.assert_no_sideways_scrolling()
            page.assert_all_labelled()
            if (language, width) in (("en", 1280), ("am", 420)):
                page.picture(f"{name}-{language}-{width}")
        page.page.click("#dark-switch")
        page.page.wait_for_timeout(300)
        dark = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", dark)[:3])) < 200
        page.picture(f"dark-{language}-{width}")
        assert not page.broken
        _assert_at_home(page, studio)


def test_tabs_are_switched_200_times_without_a_frozen_page(
    browser: Any, workspace: Path, tmp_path: Path
) -> None:
    with RunningStudio(workspace, tmp_path / "log") as studio:
        page = Page(browser, 1280)
        page.open(f"{studio.url}/en/")
        for name in TABS:  # what a tab builds when it is opened first
            page.tab(name)
        slowest = 0.0
        for number in range(200):
            began = time.monotonic()
            page.page.click(f"#tab-{TABS[number % len(TABS)]}-button")
            page.page.evaluate("new Promise(done => requestAnimationFrame(done))")
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 10
        assert not page.broken
