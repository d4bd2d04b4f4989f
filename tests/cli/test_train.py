"""`amtts train` as a user runs it: options, output, refusals, and stopping by signal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import Done, call
from extended import extended
from tiny_voice import make_corpus

from amtts_core.checkpoints.checkpoint import checkpoints_of, damage, find_checkpoint, read_checkpoint
from amtts_core.corpus.manifest import read_manifest

QUICK = (
    *(
        "--set",
        "training.validate_every=2",
        "--set",
        "training.save_every=2",
        "--set",
        "training.log_every=1",
    ),
    *("--set", "training.sample_every=0", "--set", "training.tensorboard=false"),
    *("--set", "data.batch_seconds=3.48"),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("train") / "corpus")


def learn(corpus: Path, run: Path, *arguments: object, steps: int = 4) -> Done:
    options = ("--data", corpus, "--out", run, "--jobs", 1, *QUICK)
    start = ("--backend", "chatterbox-mel", "--preset", "tiny", "--max-steps", steps)
    return call("train", *options, *(() if "--resume" in arguments else start), *arguments)


def test_it_trains_and_says_what_to_do_next(corpus: Path, tmp_path: Path) -> None:
    done = learn(corpus, tmp_path / "run")
    assert done.code == 0, done.err
    assert "finished at step 4" in done.out
    assert f"amtts synthesize --checkpoint {tmp_path / 'run'}" in done.out
    assert "steps/s" in done.out
    assert "step 2/4" in done.err, "progress goes to standard error"
    assert "val/total" in done.err
    assert read_checkpoint(tmp_path / "run").info.step == 4


def test_json(corpus: Path, tmp_path: Path) -> None:
    report = learn(corpus, tmp_path / "run", "--json").json()
    assert report["run"] == str(tmp_path / "run")
    assert (report["step"], report["reason"], report["excluded"]) == (4, "finished", 0)
    assert report["metrics"]["val/total"] > 0


def test_a_dry_run_tells_time_and_memory_and_makes_no_run(corpus: Path, tmp_path: Path) -> None:
    done = learn(corpus, tmp_path / "run", "--dry-run", steps=500)
    assert done.code == 0, done.err
    assert "GiB in this process, with the 12 longest utterances" in done.out
    assert "for 500 steps" in done.out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--force",), "--force belongs to --resume"),
        (("--resume", "--dry-run"), "--dry-run belongs to a new run"),
        (("--resume", "--auto-batch"), "--auto-batch belongs to a new run"),
        (("--dry-run", "--auto-batch"), "exclude each other"),
    ],
)
def test_options_that_do_not_go_together(
    corpus: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    learn(corpus, tmp_path / "run", *options).refused(said)


@pytest.mark.parametrize("engine", ["FSDP", "DEEPSPEED"])
def test_a_network_that_should_be_split_is_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv(f"ACCELERATE_USE_{engine}", "true")
    learn(corpus, tmp_path / "run").refused("accelerate is configured to use", "MULTI_GPU")
    assert not (tmp_path / "run").exists()


def test_options_reach_the_run(corpus: Path, tmp_path: Path) -> None:
    done = learn(corpus, tmp_path / "run", "--seed", 9, "--max-samples", 3, "--set", "model.hidden=16")
    assert done.code == 0, done.err
    stored = (tmp_path / "run/config.yaml").read_text(encoding="utf-8")
    for line in ("seed: 9", "max_samples: 3", "hidden: 16", 'preset: "tiny"', "max_steps: 4"):
        assert line in stored


def test_max_epochs_alone_decides(corpus: Path, tmp_path: Path) -> None:
    options = ("--data", corpus, "--out", tmp_path / "run", "--jobs", 1, *QUICK, "--max-epochs", 2, "--json")
    done = call("train", "--backend", "chatterbox-mel", "--preset", "tiny", *options)
    assert done.json()["epoch"] == 2


def test_resume_needs_only_the_folder(corpus: Path, tmp_path: Path) -> None:
    assert learn(corpus, tmp_path / "run").code == 0
    done = learn(corpus, tmp_path / "run", "--resume", "--max-steps", 6)
    assert done.code == 0, done.err
    assert "finished at step 6" in done.out
    assert "from step 4" in done.err


def test_from_scratch(corpus: Path, tmp_path: Path) -> None:
    assert learn(corpus, tmp_path / "run").code == 0
    done = learn(corpus, tmp_path / "run", "--from-scratch", steps=2)
    assert done.code == 0, done.err
    assert f"is kept in {tmp_path / 'run/previous/1'}" in done.err
    assert read_checkpoint(tmp_path / "run").info.step == 2


# ---- refused ----


def test_a_folder_with_a_run(corpus: Path, tmp_path: Path) -> None:
    assert learn(corpus, tmp_path / "run").code == 0
    learn(corpus, tmp_path / "run").refused("already holds a run", "--resume", "--from-scratch")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--resume", "--from-scratch"), "exclude each other"),
        (("--resume",), "holds no run to resume"),
        (("--backend", "chaterbox-mel"), "did you mean 'chatterbox-mel'?"),
        (("--preset", "tinny"), 'did you mean "tiny"?'),
        (("--set", "training.max_stepz=3"), "did you mean 'max_steps'?"),
        (("--set", "model.hiden=3"), "did you mean 'hidden'?"),
        (("--set", "model.encoder_kernel=4"), "model.encoder_kernel"),
        (("--set", "training"), "expected key=value"),
        (("--set", "training.max_steps=0"), "are both 0"),
        (("--config", "none.yaml"), "none.yaml"),
        (("--tokenizer", "none"), "none"),
    ],
)
def test_options_that_cannot_be(
    corpus: Path, tmp_path: Path, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--data", corpus, "--out", tmp_path / "run", "--jobs", 1)
    start = ("--backend", "chatterbox-mel", "--preset", "tiny")
    done = call("train", *options, *start, *arguments)
    done.refused(said.replace('"tiny"', "'tiny'"))
    assert not (tmp_path / "run").exists(), "nothing is written"


@pytest.mark.parametrize("what", ["missing", "file", "folder", "empty", "no tokenizer", "bad line"])
def test_corpora_that_cannot_be(corpus: Path, tmp_path: Path, what: str) -> None:
    data = tmp_path / "data"
    if what == "file":
        data.write_text("x")
    elif what == "folder":
        data.mkdir()
    elif what != "missing":
        shutil.copytree(corpus, data)
        if what == "empty":
            (data / "train.jsonl").write_text("")
        elif what == "no tokenizer":
            shutil.rmtree(data / "tokenizer")
        else:
            with (data / "train.jsonl").open("a") as handle:
                handle.write('{"id": "x"}\n')
    said = {
        "empty": "holds no utterance",
        "no tokenizer": "amtts tokenize",
        "bad line": "line 13",
    }.get(what, "is not a prepared corpus")
    learn(data, tmp_path / "run").refused(said)
    assert not (tmp_path / "run").exists()


def test_audio_that_is_missing_names_the_utterance(corpus: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "data"))
    (data / "audio/u003.wav").unlink()
    learn(data, tmp_path / "run").refused("'u003'", "cannot be opened", "data.max_excluded")


def test_an_unreadable_line_is_left_out_where_the_settings_allow_it(corpus: Path, tmp_path: Path) -> None:
    data, run = Path(shutil.copytree(corpus, tmp_path / "data")), tmp_path / "run"
    with (data / "train.jsonl").open("ab") as handle:
        handle.write(b'{"id": "x"\n\xff\xfe\n')
    done = learn(data, run, "--set", "data.max_excluded=0.2", "--json")
    assert done.json()["excluded"] == 2
    told = [json.loads(line)["reason"] for line in (run / "excluded.jsonl").read_text().splitlines()]
    assert ["line 13" in told[0], "line 14" in told[1]] == [True, True]
    again = learn(data, run, "--resume", "--max-steps", 6, "--json").json()
    assert (again["step"], again["excluded"]) == (6, 2)


def test_a_run_below_a_file(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    learn(corpus, tmp_path / "file").refused("is a file")
    learn(corpus, tmp_path / "file/run").refused("cannot be written")
    assert (tmp_path / "file").read_text() == "precious"


def test_another_preset_or_backend_or_network_on_resume(corpus: Path, tmp_path: Path) -> None:
    assert learn(corpus, tmp_path / "run").code == 0
    learn(corpus, tmp_path / "run", "--resume", "--preset", "base").refused("preset 'base'", "'tiny'")
    learn(corpus, tmp_path / "run", "--resume", "--set", "model.hidden=64").refused("was 32, is now 64")


def test_a_loss_that_is_not_finite(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from amtts_chatterbox.mel.learner import ChatterboxMelLearner
    from amtts_core.contract.types import PhaseLoss

    plain = ChatterboxMelLearner.losses

    def spoilt(self, batch):
        for loss in plain(self, batch):
            yield PhaseLoss(phase=loss.phase, total=loss.total * float("nan"), terms=loss.terms)

    monkeypatch.setattr(ChatterboxMelLearner, "losses", spoilt)
    learn(corpus, tmp_path / "run").refused("step 1: the loss of phase 'main' is nan", "bad_batches.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "run/bad_batches.jsonl").read_text().splitlines()]
    assert len(rows) == 4, "three are skipped, the fourth in a row ends the run"
    assert all(row["ids"] for row in rows)


def test_a_bug_keeps_its_traceback(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from amtts_chatterbox.mel.learner import ChatterboxMelLearner

    def broken(self, batch):
        raise RuntimeError("a bug")

    monkeypatch.setattr(ChatterboxMelLearner, "losses", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        learn(corpus, tmp_path / "run")


# ---- a real process ----


def default_signals() -> None:
    """As a terminal starts a program, also where these tests run under nohup or in the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(corpus: Path, run: Path) -> subprocess.Popen[str]:
    """A long training in a process of its own, which has left its first checkpoint."""
    words = (
        "train",
        "--data",
        str(corpus),
        "--out",
        str(run),
        "--jobs",
        "1",
        "--max-steps",
        "100000",
        *QUICK,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "amtts_cli", *words, "--backend", "chatterbox-mel", "--preset", "tiny"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=default_signals,
    )
    deadline = time.monotonic() + 600
    while not checkpoints_of(run) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_says_how_to_go_on(corpus: Path, tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    process = started(corpus, run)
    try:
        process.send_signal(number)
        out, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 128 + number, err
    assert "saving a checkpoint after this step" in err
    assert f"{number.name} at step" in out
    assert f"amtts train --data {corpus} --out {run} --resume" in out
    last = read_checkpoint(find_checkpoint(run, prefer="latest"))
    assert f"{number.name} at step {last.info.step}," in out
    assert last.training_state()["steps"]["step"] == last.info.step


def test_a_storm_of_signals_ends_it_at_once_and_damages_nothing(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(corpus, run)
    sent = 0
    while process.poll() is None and sent < 3000:
        process.send_signal(signal.SIGTERM if sent % 3 else signal.SIGINT)
        sent += 1
        time.sleep(0.002)
    _, err = process.communicate(timeout=600)
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT), err
    assert "stopped at once, without saving; lost: " in err
    assert "Traceback" not in err
    assert not any(damage(folder) for folder in checkpoints_of(run))
    last = int(checkpoints_of(run)[-1].name.removeprefix("step-"))
    assert learn(corpus, run, "--resume", "--max-steps", last + 2).code == 0
    assert read_checkpoint(run, prefer="latest").info.step == last + 2


def test_from_extended_weights_to_speech(corpus: Path, tmp_path: Path) -> None:
    """Extend, train adapters and new rows, resume, speak, export; each by its command alone."""
    start, run = extended(tmp_path, "vits"), tmp_path / "run"
    quick = ("--data", corpus, "--out", run, "--jobs", 1, *QUICK)
    lora = ("--set", "training.type=lora+new-tokens", "--set", "training.lora.rank=2")
    small = ("--set", "model.discriminator={periods: [2], period_channels: [4, 8], scale_channels: [4, 16]}")
    done = call("train", *quick, "--from", start, "--max-steps", 2, *lora, *small)
    assert done.code == 0, done.err
    shutil.rmtree(start)
    done = call("train", *quick, "--resume", "--max-steps", 3)
    assert done.code == 0, done.err
    wav = tmp_path / "hello.wav"
    assert call("synthesize", "--checkpoint", run, "ሰላም።", "--out", wav).code == 0
    assert wav.is_file()
    assert call("export", "--checkpoint", run, "--format", "hf", "--out", tmp_path / "hf").code == 0
    info = read_checkpoint(run).info
    assert info.training_type == "lora+new-tokens"
    assert info.started_from == str(start)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "DATA"), "no checkpoint of amtts and holds no vocab_report.json"),
        (("--from", "RUN", "--backend", "vits"), "is of backend 'chatterbox-mel', not 'vits'"),
        (("--from", "RUN", "--preset", "tiny"), "--from and --preset exclude each other"),
        (("--from", "RUN", "--resume"), "--from and --resume exclude each other"),
        (("--from", "RUN", "--set", "model.hidden=48"), "tensor 'text_embedding.weight' has shape"),
        (("--from", "RUN", "--set", "training.type=lorra"), "training.type"),
    ],
)
def test_wrong_starts_are_refused(
    trained: Path, corpus: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    named = {"DATA": str(corpus), "RUN": str(trained)}
    told = [named.get(option, option) for option in options]
    done = call("train", "--data", corpus, "--out", tmp_path / "new", "--jobs", 1, "--max-steps", 1, *told)
    assert done.code == 2, done.err
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    assert learn(corpus, run, steps=1).code == 0
    return run


def test_corrected_words_are_learnt_and_told_before_and_after(corpus: Path, tmp_path: Path) -> None:
    assert learn(corpus, tmp_path / "run", steps=2).code == 0
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    for row in list(read_manifest(corpus / "val.jsonl"))[:2]:
        shutil.copy(row.audio_path(corpus / "val.jsonl"), pairs / f"{row.id}.wav")
        (pairs / f"{row.id}.txt").write_text(row.text, encoding="utf-8")
    (pairs / "silent.txt").write_text("ሰላም", encoding="utf-8")
    options = ("--data", corpus, "--out", tmp_path / "new", "--feedback", pairs, "--jobs", 1, *QUICK)
    options += ("--set", "data.replay.ratio=0.5")
    call("train", *options).refused("needs weights to correct", "--from RUN")
    done = call("train", *options, "--from", tmp_path / "run", "--max-steps", 2)
    assert done.code == 0, done.err
    assert "2 corrected words, 20 utterances replayed an epoch, 1 pairs rejected" in done.out
    assert "corrected words: val/total" in done.out
    assert "original validation set: val/total" in done.out
    assert "there is no recording of the same name" in done.err
    report = json.loads((tmp_path / "new" / "feedback_report.json").read_text(encoding="utf-8"))
    assert set(report["before"]) == set(report["after"]) == {"corrected", "validation"}
    again = call("train", *options, "--resume", "--max-steps", 4)
    assert again.code == 0, again.err
    resumed = json.loads((tmp_path / "new" / "feedback_report.json").read_text(encoding="utf-8"))
    assert resumed["before"] == report["before"], "what it was before the run began, not before it went on"
