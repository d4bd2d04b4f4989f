"""An evaluation from end to end: floors, resuming, reports, and one line for each mistake."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_voice import tiny_voice

from amtts_core.audio.io import read_audio
from amtts_core.errors import AmttsError
from amtts_core.evaluation import evaluate as module
from amtts_core.evaluation.evaluate import Evaluation, evaluate
from amtts_core.evaluation.items import TestItem, manifest_items, public_items
from amtts_core.evaluation.listening.design import design
from amtts_core.evaluation.listening.page import write_test
from amtts_core.evaluation.listening.score import score
from amtts_core.evaluation.report.as_json import write_json
from amtts_core.evaluation.report.page import write_page
from amtts_core.evaluation.settings import EvaluationSettings
from amtts_core.evaluation.systems import CheckpointSystem, CopySystem, FolderSystem
from amtts_core.text.normalizer import Normalizer

CORPUS = Path(__file__).parents[3] / "examples" / "corpus"
QUICK = EvaluationSettings(metrics=("text", "signal", "alignment"), batch=3)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[TestItem]:
    """Five sentences of the bundled corpus, by a manifest."""
    rows = []
    for line in (CORPUS / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:6]:
        name, text = line.split("|")
        path = CORPUS / name
        rows.append(
            {
                "id": path.stem,
                "audio_filepath": str(path),
                "duration": soundfile.info(path).duration,
                "text": text,
            }
        )
    manifest = tmp_path_factory.mktemp("items") / "test.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return manifest_items(manifest, normalize=Normalizer())


@pytest.fixture(scope="module")
def wavs(items: list[TestItem], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies: the first is silent, the second says the third's text, the last is missing."""
    folder = tmp_path_factory.mktemp("wavs")
    for number, item in enumerate(items[:-1]):
        source = items[2] if number == 1 else item
        assert source.audio is not None
        wave = read_audio(source.audio, sample_rate=22050)
        soundfile.write(folder / f"{item.id}.wav", wave * (number > 0), 22050)
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def found(items: list[TestItem], wavs: Path, work: Path) -> Evaluation:
    return evaluate([FolderSystem(wavs, name="copies")], items, settings=QUICK, work=work)


def test_every_figure_stands_beside_that_of_the_recordings(found: Evaluation) -> None:
    floor, voice = found.summary("recordings"), found.summary("copies")
    assert floor is not None
    assert voice is not None
    assert floor.figures["cer"].value < 0.05
    assert voice.figures["cer"].value > floor.figures["cer"].value + 0.3
    assert floor.utterances == 5
    assert voice.utterances == 4  # the missing one is left out
    assert voice.figures["cer"].low <= voice.figures["cer"].value <= voice.figures["cer"].high


def test_silence_is_measured_as_silence(found: Evaluation) -> None:
    row = found.rows["copies"][0]
    assert row.hypothesis == ""
    assert row.errors is not None
    assert row.errors.cer.deletions == row.errors.cer.length
    assert row.figures["speech_seconds"] == 0
    assert row.words == []


def test_word_times_and_what_is_wrong_stand_on_the_row(found: Evaluation) -> None:
    good, other = found.rows["recordings"][2], found.rows["copies"][1]
    assert [word for word, *_ in good.words] == good.reference.split()
    assert all(a[2] <= b[1] + 0.01 for a, b in zip(good.words, good.words[1:], strict=False))
    assert other.errors is not None
    assert len(other.errors.wrong) >= 3


def test_nothing_is_measured_twice(
    found: Evaluation, items: list[TestItem], wavs: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amtts_recognizers.ctc.recognizer import CtcRecognizer

    def refuse(*_: object) -> None:
        raise AssertionError("a cached score was computed again")

    monkeypatch.setattr(CtcRecognizer, "_posteriors", refuse)
    again = evaluate([FolderSystem(wavs, name="copies")], items, settings=QUICK, work=work)
    assert [row.as_dict() for row in again.rows["copies"]] == [row.as_dict() for row in found.rows["copies"]]


@pytest.mark.slow
def test_two_processes_measure_the_same(
    found: Evaluation, items: list[TestItem], wavs: Path, tmp_path: Path
) -> None:
    again = evaluate([FolderSystem(wavs, name="copies")], items, settings=QUICK, work=tmp_path, jobs=2)
    for name, rows in found.rows.items():
        assert [row.hypothesis for row in again.rows[name]] == [row.hypothesis for row in rows]


# ---- a voice of this toolkit ----


def test_a_checkpoint_speaks_once_and_is_resumed(
    items: list[TestItem],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tiny_voice(tmp_path_factory.mktemp("voice"))[1]
    settings = EvaluationSettings(metrics=("signal",))
    texts = [
        TestItem(id="a", text="ሰላም ለሰው።", reference="ሰላም ለሰው።"),
        TestItem(id="b", text="ሰላም።", reference="ሰላም።"),
    ]

    def system() -> CheckpointSystem:
        return CheckpointSystem(run, tmp_path / "speech", name="voice")

    first = evaluate([system()], texts, settings=settings, work=tmp_path / "work")
    about = first.systems["voice"]
    assert about["backend"] == "chatterbox-mel"
    assert about["first_sound_seconds"] > 0
    assert about["peak_memory_mb"] > 50
    assert all(row.figures["real_time_factor"] > 0 for row in first.rows["voice"])
    assert "recordings" not in first.rows
    spoken = {path: path.stat().st_mtime_ns for path in (tmp_path / "speech").glob("*.flac")}
    assert len(spoken) == 2
    evaluate([system()], texts, settings=settings, work=tmp_path / "work")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "speech").glob("*.flac")} == spoken
    changed = [texts[0], TestItem(id="b", text="ሰላም ሰው።", reference="ሰላም ሰው።")]
    evaluate([system()], changed, settings=settings, work=tmp_path / "work")
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "speech").glob("*.flac")}
    assert {path.stem for path in now if now[path] != spoken[path]} == {"b"}


def test_copies_of_the_recordings_show_what_the_vocoder_costs(
    items: list[TestItem], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = tiny_voice(tmp_path_factory.mktemp("voice"))[1]
    copies = CopySystem(run, tmp_path / "copies", name="voice copies")
    settings = EvaluationSettings(metrics=("text", "signal"))
    found = evaluate([copies], items[:2], settings=settings, work=tmp_path / "work")
    assert [Path(row.audio).is_file() for row in found.rows["voice copies"]] == [True, True]
    assert all(0.95 < row.figures["duration_ratio"] < 1.05 for row in found.rows["voice copies"])


# ---- reports ----


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]


def test_the_page_is_self_contained_and_escaped(
    found: Evaluation, items: list[TestItem], tmp_path: Path
) -> None:
    found.items[0] = TestItem(id=items[0].id, text="<script>alert(1)</script>", reference=items[0].reference)
    try:
        write_page(found, tmp_path / "report.html", title="A & B", played=2)
    finally:
        found.items[0] = items[0]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    parser = _Page()
    parser.feed(page)
    assert parser.links
    assert all(link.startswith("data:") for link in parser.links)
    assert page.count("<audio") == 4  # two texts, two systems
    assert "<script>alert" not in page
    assert "A &amp; B" in page
    assert page.index("worst first") < page.index(items[0].id + " ·")
    assert len(page) < 2_000_000


def test_the_report_holds_every_hypothesis(found: Evaluation, tmp_path: Path) -> None:
    write_json(found, tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert len(report["rows"]) == 9
    assert all(row["hypothesis"] is not None for row in report["rows"])
    assert report["recognizer"]["identity"].startswith("ctc2:")
    (overall,) = [s for s in report["summaries"] if (s["system"], s["subset"]) == ("recordings", "all")]
    value, low, high, count = overall["figures"]["cer"]
    assert low <= value <= high
    assert count == 5
    assert {finding["figure"] for finding in report["findings"]} >= {"cer", "run_on"}


# ---- listening tests ----


@pytest.mark.parametrize("kind", ["mos", "ab", "mushra"])
def test_a_listening_test_hides_its_systems_and_is_scored(
    kind: str, found: Evaluation, tmp_path: Path
) -> None:
    made = design(found.rows, kind=kind, texts=3)
    page, key = write_test(made, tmp_path)
    html = page.read_text(encoding="utf-8")
    assert "copies" not in html
    assert "recordings" not in html
    assert not re.search(r'(src|href)="(?!data:)', html)
    told = json.loads(key.read_text(encoding="utf-8"))
    systems = {name: sound["system"] for name, sound in told["sounds"].items()}

    def rating(name: str) -> int:
        return {"recordings": 5, "copies": 2, "anchor": 1}[systems[name]] * (20 if kind == "mushra" else 1)

    for listener in ("a", "b"):
        answers = []
        for trial in made.trials:
            best = max(trial.sounds, key=rating)
            scores = {"choice": best} if kind == "ab" else {name: rating(name) for name in trial.sounds}
            answers.append({"trial": trial.name, "order": list(trial.sounds), "scores": scores})
        result = {"test": told["test"], "kind": kind, "listener": listener, "answers": answers}
        (tmp_path / f"{listener}.json").write_text(json.dumps(result), encoding="utf-8")
    scores = score(key, [tmp_path / "a.json", tmp_path / "b.json"])
    assert scores.listeners == ["a", "b"]
    if kind == "ab":
        (pair,) = scores.preferences
        assert (pair.first, pair.second_chosen) == ("copies", 6)
        assert pair.p_value == pytest.approx(2 * 0.5**6)
    else:
        assert scores.systems["recordings"].value > scores.systems["copies"].value


def test_listeners_who_miss_the_hidden_reference_are_left_out(found: Evaluation, tmp_path: Path) -> None:
    made = design(found.rows, kind="mushra", texts=3)
    _, key = write_test(made, tmp_path)
    told = json.loads(key.read_text(encoding="utf-8"))
    for listener, low in (("careful", False), ("careless", True)):
        answers = [
            {
                "trial": t.name,
                "order": list(t.sounds),
                "scores": {
                    n: 30 if low or told["sounds"][n]["system"] != "recordings" else 100 for n in t.sounds
                },
            }
            for t in made.trials
        ]
        (tmp_path / f"{listener}.json").write_text(
            json.dumps({"test": told["test"], "listener": listener, "answers": answers}), encoding="utf-8"
        )
    scores = score(key, [tmp_path / "careful.json", tmp_path / "careless.json"])
    assert scores.listeners == ["careful"]
    assert "careless" in scores.left_out
    assert scores.systems["recordings"].value == 100


def test_answers_of_another_test_are_refused(found: Evaluation, tmp_path: Path) -> None:
    _, key = write_test(design(found.rows, kind="mos", texts=2), tmp_path)
    (tmp_path / "x.json").write_text(json.dumps({"test": "other", "listener": "x", "answers": []}))
    with pytest.raises(AmttsError, match="holds answers of test 'other'"):
        score(key, [tmp_path / "x.json"])
    (tmp_path / "none").mkdir()
    with pytest.raises(AmttsError, match="no answers to score"):
        score(key, [tmp_path / "none"])


# ---- mistakes ----


def test_one_clear_line_for_each_mistake(items: list[TestItem], wavs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(AmttsError, match=r"empty.jsonl holds no utterance"):
        manifest_items(tmp_path / "empty.jsonl", normalize=str)
    with pytest.raises(AmttsError, match="no text to evaluate"):
        evaluate([FolderSystem(wavs, name="a")], [], work=tmp_path / "w")
    with pytest.raises(AmttsError, match=r"is no folder"):
        FolderSystem(tmp_path / "missing", name="a")
    with pytest.raises(AmttsError, match=r"has no speech for any of 5 texts: --wavs .*nothing"):
        evaluate([FolderSystem(tmp_path / "nothing", name="a")], items, settings=QUICK, work=tmp_path / "w")
    assert not (tmp_path / "w").exists(), "told before the recordings are measured"
    for item in items:
        soundfile.write(tmp_path / f"nothing/{item.id}.wav", np.zeros(8000), 8000)
    with pytest.raises(AmttsError, match=r"'a' is silent: none of its 5 files holds a sound"):
        evaluate([FolderSystem(tmp_path / "nothing", name="a")], items, settings=QUICK, work=tmp_path / "w")


def test_a_silent_utterance_is_named(items: list[TestItem], wavs: Path, tmp_path: Path) -> None:
    found = evaluate([FolderSystem(wavs, name="a")], items, settings=QUICK, work=tmp_path / "w")
    assert found.silent == {"a": [items[0].id]}


def test_a_package_that_is_missing_skips_its_figures_and_says_so(
    items: list[TestItem], wavs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amtts_core.evaluation import quality

    def missing() -> None:
        raise AmttsError("DistillMOS needs the package 'distillmos'")

    monkeypatch.setattr(quality, "distillmos", missing)
    settings = EvaluationSettings(metrics=("signal", "quality"))
    found = evaluate([FolderSystem(wavs, name="a")], items[:2], settings=settings, work=tmp_path)
    assert "DistillMOS needs" in found.skipped["quality"]
    assert "distillmos" not in found.rows["a"][1].figures
    required = EvaluationSettings(metrics=("signal", "quality"), required=("quality",))
    with pytest.raises(AmttsError, match="DistillMOS needs"):
        evaluate([FolderSystem(wavs, name="a")], items[:2], settings=required, work=tmp_path)
    assert module._measures.cache_info().currsize == 0


def test_the_public_list_has_every_kind_and_no_word_that_cannot_be_read() -> None:
    listed = public_items(normalize=Normalizer())
    kinds = {item.category for item in listed}
    assert kinds == {"news", "numbers", "names", "dialogue", "questions", "long", "words"}
    assert len({item.id for item in listed}) == len(listed) == 70
    assert not any(Normalizer().leftovers(item.reference) for item in listed)
    assert not any(character.isdigit() for item in listed for character in item.reference)
