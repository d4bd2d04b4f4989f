"""`amtts validate-e2e`: a sound set-up passes every check, and each kind of fault fails its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from command_line import Done, call
from tiny_voice import make_corpus, train_tiny
from torch import nn

from amtts_chatterbox.mel.backend import ChatterboxMelBackend
from amtts_chatterbox.mel.learner import ChatterboxMelLearner
from amtts_chatterbox.mel.network import ChatterboxMel
from amtts_core.checkpoints import checkpoint
from amtts_core.contract.types import Batch, PhaseLoss
from amtts_core.corpus.manifest import read_manifest
from amtts_core.preflight.contract import CONTRACT
from amtts_core.storage.json_lines import write_jsonl

NAMES = ["manifest", "audio", "unknown tokens", "features", *CONTRACT, "save and load", "synthesis"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("validate") / "corpus")


@pytest.fixture
def corpus(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(shutil.copytree(sound, tmp_path / "corpus"))


def check(corpus: Path, *arguments: object) -> Done:
    return call(
        *("validate-e2e", "--data", corpus, "--backend", "chatterbox-mel", "--preset", "tiny"),
        *("--overfit-steps", 30, "--set", "training.optim.learning_rate=0.004", "--json", *arguments),
    )


def fails(done: Done, name: str) -> str:
    """Holds that `name` is the first check that fails; returns what it said."""
    assert done.code == 1, done.err
    report = done.json()
    assert report["ok"] is False
    assert [c["name"] for c in report["checks"]] == NAMES, "every check is listed, run or not"
    first = next(c for c in report["checks"] if c["status"] == "failed")
    assert first["name"] == name, first
    return str(first["detail"])


def change(manifest: Path, index: int, **values: object) -> None:
    rows = list(read_manifest(manifest))
    rows[index] = rows[index].model_copy(update=values)
    write_jsonl(manifest, rows)


def test_a_sound_set_up_passes(sound: Path) -> None:
    done = check(sound)
    assert done.code == 0, done.out
    report = done.json()
    assert report["ok"] is True
    assert report["backend"] == "chatterbox-mel"
    assert [c["name"] for c in report["checks"]] == NAMES
    assert all(c["detail"] for c in report["checks"])
    skipped = {c["name"] for c in report["checks"] if c["status"] == "skipped"}
    assert skipped == {
        *("codec draws nothing", "missing reference bundle", "text matters", "teacher forcing", "next token"),
        *("waveforms", "repeatable speech", "speech in batches", "speed"),
    }
    assert all(c["status"] == "ok" for c in report["checks"] if c["name"] not in skipped)
    assert "ok      synthesis" in done.err
    before = sorted(p.relative_to(sound) for p in sound.rglob("*"))
    assert not any("features" in str(p) for p in before), "checking leaves nothing in the corpus"


def test_people_get_a_table(sound: Path) -> None:
    done = call(
        *("validate-e2e", "--data", sound, "--backend", "chatterbox-mel", "--preset", "tiny"),
        *("--overfit-steps", 30, "--set", "training.optim.learning_rate=0.004"),
    )
    assert done.code == 0, done.out
    rows = [line for line in done.out.splitlines() if " ok " in line or " skipped " in line]
    assert len(rows) == len(NAMES)


def test_a_trained_voice_passes_and_keeps_its_weights(sound: Path, tmp_path: Path) -> None:
    training = {
        "max_steps": 60,
        "validate_every": 60,
        "save_every": 60,
        "optim": {"learning_rate": 5e-3, "schedule": "constant"},
    }
    train_tiny(sound, tmp_path / "run", training=training)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    done = call(
        *("validate-e2e", "--data", sound, "--checkpoint", tmp_path / "run", "--overfit-steps", 30),
        *("--text", "ለመሰረ በተነአ።", "--json"),
    )
    assert done.code == 0, done.out
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


# ---- faults of the data ----


def test_silent_audio(corpus: Path) -> None:
    info = soundfile.info(corpus / "audio/u002.wav")
    soundfile.write(corpus / "audio/u002.wav", np.zeros(info.frames), info.samplerate)
    done = check(corpus)
    assert fails(done, "audio") == "'u002' is silent"
    assert done.json()["checks"][2]["detail"] == "not run: 'audio' failed before"


def test_missing_audio(corpus: Path) -> None:
    (corpus / "audio/u001.wav").unlink()
    assert "1 audio files are missing, first: audio/u001.wav" in fails(check(corpus), "audio")


def test_damaged_audio(corpus: Path) -> None:
    (corpus / "audio/u001.wav").write_text("not audio")
    assert "'u001'" in fails(check(corpus), "audio")


def test_audio_of_another_length(corpus: Path) -> None:
    change(corpus / "train.jsonl", 0, duration=9.0)
    assert "the manifest says 9.00 s" in fails(check(corpus), "audio")


def test_unknown_letters(corpus: Path) -> None:
    change(corpus / "train.jsonl", 0, normalized_text="ሰላም Ж☃Ж")
    detail = fails(check(corpus), "unknown tokens")
    assert "'Ж' x 2" in detail
    assert "(allowed 0 %)" in detail
    assert check(corpus, "--max-unk", 0.1).code == 0


def test_text_too_long_for_its_audio(corpus: Path) -> None:
    change(corpus / "train.jsonl", 0, normalized_text="ሰላም " * 100)
    assert "1 of 12 cannot be learned from; 'u000'" in fails(check(corpus), "features")


def test_bad_lines_and_repeated_ids(corpus: Path) -> None:
    with (corpus / "train.jsonl").open("a") as handle:
        handle.write("{\n")
    assert "1 bad lines, first:" in fails(check(corpus), "manifest")
    rows = (corpus / "train.jsonl").read_text().splitlines()[:-1]
    (corpus / "train.jsonl").write_text("\n".join([*rows, rows[0]]) + "\n")
    assert "1 ids occur more than once, e.g. 'u000'" in fails(check(corpus), "manifest")
    (corpus / "train.jsonl").write_text("\n")
    assert "holds no utterance" in fails(check(corpus), "manifest")


# ---- faults of the network ----


def test_a_dead_parameter_is_named(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ChatterboxMel.__init__

    def with_dead(self: ChatterboxMel, *arguments: Any, **options: Any) -> None:
        plain(self, *arguments, **options)
        self.unused = nn.Parameter(torch.ones(3))

    monkeypatch.setattr(ChatterboxMel, "__init__", with_dead)
    assert fails(check(sound), "gradients") == "no gradient reaches the trainable parameter 'unused'"


def spoil(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    plain = ChatterboxMelLearner.losses

    def spoilt(self: ChatterboxMelLearner, batch: Batch) -> Iterator[PhaseLoss]:
        for loss in plain(self, batch):
            yield PhaseLoss(phase=loss.phase, total=loss.total * factor, terms=loss.terms)

    monkeypatch.setattr(ChatterboxMelLearner, "losses", spoilt)


def test_a_dummy_loss(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, 0.0)
    assert "exactly 0" in fails(check(sound), "finite loss")


def test_a_loss_that_is_not_finite(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, float("nan"))
    assert "is nan" in fails(check(sound), "finite loss")


def test_a_tensor_that_a_step_does_not_move_is_named(sound: Path) -> None:
    detail = fails(check(sound, "--set", "training.optim.learning_rate=1e-9"), "optimizer step")
    assert "an optimizer step left" in detail


def test_a_network_that_does_not_learn(sound: Path) -> None:
    detail = fails(check(sound, "--set", "training.optim.learning_rate=1e-6"), "overfit one batch")
    assert "30 steps on one batch took the loss from" in detail


def test_weights_that_do_not_survive_saving(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = checkpoint.load_strict

    def careless(network: Any, weights: Any, *, backend: str) -> None:
        plain(network, weights, backend=backend)
        network.refine.bias.data += 1

    monkeypatch.setattr(checkpoint, "load_strict", careless)
    assert fails(check(sound), "save and load") == "tensor 'refine.bias' changed between saving and loading"


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        (np.zeros(9000, np.float32), "silent"),
        (np.full(9000, np.nan, np.float32), "not finite"),
        (np.full(10, 0.5, np.float32), "times the corpus' pace"),
        (np.full(22050 * 60, 0.5, np.float32), "times the corpus' pace"),
    ],
    ids=["silent", "NaN", "too short", "too long"],
)
def test_speech_that_cannot_be(
    sound: Path, monkeypatch: pytest.MonkeyPatch, wave: np.ndarray, said: str
) -> None:
    monkeypatch.setattr(ChatterboxMelBackend, "synthesize", lambda self, requests: [wave for _ in requests])
    assert said in fails(check(sound), "synthesis")


def test_a_sentence_without_known_letters(sound: Path) -> None:
    assert "nothing to speak" in fails(check(sound, "--text", "..."), "synthesis")


def test_a_bug_is_not_a_failed_check(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, requests: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ChatterboxMelBackend, "synthesize", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        check(sound)


# ---- refused ----


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs --data DIR (or --reference DIR)"),
        (("--data", "none", "--backend", "chatterbox-mel"), "none is not a prepared corpus"),
        (("--data", "{sound}"), "backend: missing"),
        (("--data", "{sound}", "--backend", "vitz"), "unknown 'vitz'"),
        (("--data", "{sound}", "--checkpoint", "none"), "checkpoint none does not exist"),
        (
            ("--data", "{sound}", "--checkpoint", "none", "--preset", "tiny"),
            "--preset and --checkpoint exclude",
        ),
        (("--reference", "{sound}"), "--reference needs --backend"),
        (("--reference", "none", "--backend", "chatterbox-mel"), "reference bundle none is not a folder"),
        (("--reference", "{sound}", "--backend", "chatterbox-mel"), "defines no reference bundle"),
    ],
)
def test_options_that_cannot_be(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    call("validate-e2e", *(a.replace("{sound}", str(sound)) for a in arguments)).refused(said)


def test_a_checkpoint_of_another_backend(sound: Path, tmp_path: Path) -> None:
    train_tiny(sound, tmp_path / "run", training={"max_steps": 1})
    call(
        *("validate-e2e", "--data", sound, "--checkpoint", tmp_path / "run", "--backend", "vits"),
    ).refused("is of backend 'chatterbox-mel', not 'vits'")


SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"


@pytest.mark.parametrize(
    ("name", "bundle"),
    [
        ("vits", "vits_deterministic"),
        ("indextts2", "indextts2"),
        ("chatterbox", "chatterbox"),
        ("dac", "dac"),
    ],
)
def test_reference_bundles_hold_for_backends_and_codecs(name: str, bundle: str) -> None:
    if not (SHARED / bundle).is_dir():
        pytest.skip(f"the bundle {bundle} is not beside this checkout")
    done = call("validate-e2e", "--backend", name, "--reference", str(SHARED / bundle), "--json")
    assert done.code == 0
    found = done.json()
    assert found["backend"] == name
    assert found["ok"]
    assert all({"name", "max_abs_diff", "tolerance", "ok"} <= set(check) for check in found["checks"])
