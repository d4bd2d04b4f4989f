"""What is chosen for recording: faults of the voice and not of the recognizer, the worst first, within the time."""

import json

import pytest

from amtts_core.errors import AmttsError
from amtts_core.evaluation.corrections import choose, read_rows, write_sheet
from amtts_core.evaluation.measures import Row
from amtts_core.evaluation.text_errors import text_errors


def row(system, name, reference, hypothesis):
    return Row(
        system=system,
        id=name,
        category="in-domain",
        text=reference,
        reference=reference,
        audio="",
        hypothesis=hypothesis,
        errors=text_errors(reference, hypothesis),
    ).as_dict()


@pytest.fixture
def report(tmp_path):
    rows = [
        row("recordings", "a", "ሰላም ለዓለም", "ሰላም ለአለም"),
        row("recordings", "b", "ጠዋት ቤት ሰራ", "ጠዋት ቤት ሲሪ"),
        row("voice", "a", "ሰላም ለዓለም", "ሰላም ለኩለም"),
        row("voice", "b", "ጠዋት ቤት ሰራ", "ጡዋት ቤት ሲሪ"),
        row("voice", "c", "ሰላም ነው", "ሰላም ነው"),
    ]
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    return path


def test_words_of_the_voice_are_blamed_and_those_of_the_recognizer_are_not(report):
    chosen = choose(read_rows(report), minutes=5)
    words = {c.text: c for c in chosen if c.kind == "word"}
    assert set(words) == {"ለአለም", "ጠዋት"}  # ሰራ is read wrongly in the recording as well
    assert words["ለአለም"].wrong == 1.0
    assert {c.text for c in chosen if c.kind == "sentence"} == {"ሰላም ለዓለም", "ጠዋት ቤት ሰራ"}


def test_the_time_is_kept(report):
    chosen = choose(read_rows(report), minutes=0.05)
    assert sum(c.seconds for c in chosen) <= 3
    assert len(chosen) < 4


def test_the_folder_is_one_for_train_feedback(report, tmp_path):
    chosen = choose(read_rows(report), minutes=5)
    page = write_sheet(chosen, tmp_path / "out")
    texts = sorted((tmp_path / "out").glob("*.txt"))
    assert [path.read_text(encoding="utf-8").strip() for path in texts] == [c.text for c in chosen]
    html = page.read_text(encoding="utf-8")
    assert all(f"{path.stem}.wav" in html for path in texts)
    with pytest.raises(AmttsError, match="holds texts already"):
        write_sheet(chosen, tmp_path / "out")


def test_one_clear_line_for_what_is_no_report(report, tmp_path):
    with pytest.raises(AmttsError, match="is no report of an evaluation"):
        read_rows(tmp_path / "missing.json")
    with pytest.raises(AmttsError, match="system 'voise' is not in .*voice"):
        read_rows(report, "voise")
    with pytest.raises(AmttsError, match="nothing to record"):
        write_sheet([], tmp_path / "none")


def test_among_equally_bad_words_those_with_new_letters_come_first(tmp_path):
    """Room for two words of three letters: ጠራም and ጠራማ share two letters, ለሙት has none of them."""
    said = {"a": ("ጠራም ነው", "ቁቁቁ ነው"), "b": ("ጠራማ ነው", "ቁቁቁ ነው"), "c": ("ለሙት ነው", "ቁቁቁ ነው")}
    path = tmp_path / "report.json"
    rows = [row("voice", name, *texts) for name, texts in said.items()]
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    chosen = choose(read_rows(path), minutes=2.7 / 60, sentence_share=0)
    words = {c.text for c in chosen}
    assert len(words) == 2
    assert "ለሙት" in words
    assert sum(c.seconds for c in chosen) <= 2.7
