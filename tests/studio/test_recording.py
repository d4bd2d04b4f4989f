"""The Record tab: sheets, levels, and recordings beside their texts that `train --feedback` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from open_studio import open_studio, studio_of
from recordings import speech, write_wav

from amtts_cli.studio.recording import (
    EARLIER,
    Sheet,
    collect_sheet,
    level_of,
    make_sheet,
    measured,
    sheets,
    train_command,
)
from amtts_cli.studio.studio import Studio
from amtts_cli.studio.tabs.record import level_html
from amtts_core.corpus.importers import Clip, choose_importer
from amtts_core.errors import AmttsError
from amtts_core.evaluation.corrections import Correction, write_sheet

RATE = 16000


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return studio_of(tmp_path / "studio")


def test_a_sheet_of_feedback_collect_is_found_and_read(studio: Studio) -> None:
    words = [Correction(text=text, kind="word", wrong=1.0, said=1) for text in ("ሰላም", "ቡና")]
    write_sheet(words, studio.workspace.root / "corrections")
    assert sheets(studio.workspace) == ["corrections"]
    sheet = Sheet.open(studio.workspace, "corrections")
    assert [sheet.text(name) for name in sheet.names] == ["ሰላም", "ቡና"]
    assert train_command(studio.workspace, sheet).startswith(
        "amtts train --from VOICE --feedback corrections"
    )


def test_a_sheet_of_what_a_voice_says_worst(studio: Studio) -> None:
    cer = {"substitutions": 1, "deletions": 0, "insertions": 0, "length": 10}
    row = {"id": "a", "system": "run", "reference": "ሰላም ለቡና", "hypothesis": "ሰላም ለቡኔ"}
    folder = studio.workspace.root / "evaluation"
    folder.mkdir()
    report = {"rows": [row | {"errors": {"wrong": [1], "cer": cer}}]}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    sheet = collect_sheet(studio.workspace, "evaluation", "worst", minutes=1)
    assert {sheet.text(name) for name in sheet.names} == {"ለቡና", "ሰላም ለቡና"}
    assert not sheet.recorded
    for evaluation, name, minutes in (("none", "x", 1), ("evaluation", "worst", 1), ("evaluation", "x", 0)):
        with pytest.raises(AmttsError):
            collect_sheet(studio.workspace, evaluation, name, minutes=minutes)


def test_recordings_lie_beside_their_texts_and_earlier_takes_are_kept(studio: Studio) -> None:
    sheet = make_sheet(studio.workspace, "list", "ሰላም ለዓለም\n\n  ዛሬ ጥሩ ቀን ነው \n")
    assert sheet.names == ("001", "002")
    first, second = speech(1), speech(2)
    sheet.keep("001", first, RATE)
    assert (sheet.recorded, sheet.first_open()) == (1, 1)
    sheet.keep("001", second, RATE)
    sheet.keep("002", first, RATE)
    kept, rate = soundfile.read(sheet.folder / "001.wav", dtype="float32")
    assert rate == RATE
    assert np.abs(kept - second).max() < 1e-3
    earlier, _ = soundfile.read(sheet.folder / EARLIER / "001-1.wav", dtype="float32")
    assert np.abs(earlier - first).max() < 1e-3
    importer = choose_importer(sheet.folder)
    clips = list(importer.read(sheet.folder).entries)
    assert importer.name == "wav-txt"
    assert [clip.text for clip in clips if isinstance(clip, Clip)] == ["ሰላም ለዓለም", "ዛሬ ጥሩ ቀን ነው"]
    assert len(clips) == 2, "the earlier take is none of them"
    with pytest.raises(AmttsError, match="not on this sheet"):
        sheet.keep("../003", first, RATE)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list", " \n", "the list is empty"),
        ("list", "ሀ" * 501, "line 1 has 501 characters"),
        ("list", "ሀ\n" * 2001, "at most 2000"),
        ("../list", "ሰላም", "leaves the workspace"),
        ("taken", "ሰላም", "is there already"),
    ],
)
def test_sheets_that_cannot_be_made(studio: Studio, name: str, text: str, said: str) -> None:
    (studio.workspace.root / "taken").mkdir()
    (studio.workspace.root / "taken/x").write_text("x")
    with pytest.raises(AmttsError, match=said):
        make_sheet(studio.workspace, name, text)
    assert not (studio.workspace.root / "list").exists()


def test_levels() -> None:
    good = speech(3, level=0.3)
    assert level_of(good, RATE).verdict == "good"
    assert level_of(np.clip(8 * good, -1, 1), RATE).verdict == "clipped"
    assert level_of(0.5 * np.clip(8 * good, -1, 1), RATE).verdict == "clipped", "turned down afterwards"
    assert level_of(0.01 * good, RATE).verdict == "quiet"
    assert level_of(np.zeros(RATE, np.float32), RATE).verdict == "silent"
    assert level_of(good[:2000], RATE).verdict == "short"


def test_the_level_is_shown(studio: Studio, tmp_path: Path) -> None:
    samples, rate, level = measured(write_wav(tmp_path / "a.wav", speech(3, level=0.5)))
    assert (len(samples) / rate, level.verdict) == (1.5, "good")
    assert level.peak == pytest.approx(-6, abs=0.2)
    page = level_html(studio, level)
    assert "width:90%" in page
    assert "1.5 s · peak -6.0 dBFS" in page
    (tmp_path / "b.wav").write_bytes(b"no sound at all")
    with pytest.raises(AmttsError):
        measured(tmp_path / "b.wav")


def test_a_file_is_recorded_through_the_studio(tmp_path: Path) -> None:
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    take = write_wav(tmp_path / "take.wav", speech(5, level=0.4))
    silent = write_wav(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    with open_studio(tmp_path / "studio") as served:
        client = Client(f"{served.url}/en/", verbose=False, download_files=str(tmp_path / "down"))
        client.predict("words", "ሰላም\nቡና", api_name="/record_make")
        with pytest.raises(AppError, match="silence"):
            client.predict("words", 0, handle_file(str(silent)), api_name="/record_keep")
        client.predict("words", 0, handle_file(str(take)), api_name="/record_keep")
        folder = served.studio.workspace.root / "words"
        assert sorted(path.name for path in folder.iterdir()) == ["001.txt", "001.wav", "002.txt"]
        assert Sheet.open(served.studio.workspace, "words").first_open() == 1
