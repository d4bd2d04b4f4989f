"""Damaged checkpoints through the commands that read them: told in one line, or the one before is used, aloud."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import Done, call
from short_run import assert_same_end, begin, cut_after_four, resume
from tiny_voice import make_corpus

from amtts_core.checkpoints.checkpoint import checkpoints_of
from amtts_core.storage.checksums import described  # the sums an attacker would mend

FILES = (
    "checkpoint.json",
    "files.json",
    "model.safetensors",
    "tokenizer/tokenizer.json",
    "training.json",
    "training.safetensors",
)


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self._path),))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 4
    path.write_bytes(data)


def missing(path: Path) -> None:
    path.unlink()


def of_another_checkpoint(path: Path) -> None:
    """Swaps it with the same file of the checkpoint before, where that one differs."""
    newest = next(parent for parent in path.parents if parent.name.startswith("step-"))
    other = newest.with_name("step-00000002") / path.relative_to(newest)
    if path.read_bytes() == other.read_bytes():
        pytest.skip("the same in all checkpoints of a run")
    mine = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(mine)


def a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(path.with_name("executed"))))


HARMS = (truncated, flipped, missing, of_another_checkpoint, a_pickle)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("damage") / "corpus")


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of six steps with checkpoints at 2, 4 and 6; the last is the best."""
    run = tmp_path_factory.mktemp("whole") / "run"
    done = begin(corpus, run)
    assert done.code == 0, done.err
    assert (run / "best").read_text() == "step-00000006\n"
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


@pytest.fixture
def cut(run: Path) -> Path:
    return cut_after_four(run)


def commands(corpus: Path, checkpoint: Path, folder: Path) -> dict[str, Callable[[], Done]]:
    """Commands that read a checkpoint, besides `train --resume`."""
    return {
        "synthesize": lambda: call(
            "synthesize", "--checkpoint", checkpoint, "ሰላም", "--out", folder / "out.wav"
        ),
        "export": lambda: call("export", "--checkpoint", checkpoint, "--format", "hf", "--out", folder / "x"),
        "validate-e2e": lambda: call("validate-e2e", "--data", corpus, "--checkpoint", checkpoint),
    }


def test_undamaged_it_is_read(corpus: Path, run: Path, tmp_path: Path) -> None:
    """The commands below fail because of the damage and of nothing else."""
    assert commands(corpus, run, tmp_path)["synthesize"]().code == 0
    assert "known formats" in commands(corpus, run, tmp_path)["export"]().err


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", FILES)
def test_every_command_refuses_every_damage_in_one_line(
    corpus: Path, run: Path, tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    harm(run / "checkpoints/step-00000006" / name)
    for path in (run, run / "checkpoints/step-00000006"):
        for command in commands(corpus, path, tmp_path).values():
            command().refused("step-00000006")
    assert not list(run.rglob("executed")), "nothing of a checkpoint is executed"
    assert not {p.name for p in tmp_path.iterdir()} & {"out.wav", "x"}, "nothing is written"


@pytest.mark.parametrize("name", FILES)
def test_resume_goes_back_to_the_one_before_says_so_and_ends_as_if_undisturbed(
    corpus: Path, whole: Path, cut: Path, name: str
) -> None:
    harms = (truncated, flipped, missing, a_pickle)
    harms[FILES.index(name) % len(harms)](cut / "checkpoints/step-00000004" / name)
    done = resume(corpus, cut)
    assert done.code == 0, done.err
    assert "step-00000004 is damaged" in done.err
    assert "going back to the one before" in done.err
    assert_same_end(whole, cut)
    assert not list(cut.rglob("executed"))


def test_with_every_checkpoint_damaged_resume_says_so(corpus: Path, cut: Path) -> None:
    for folder in checkpoints_of(cut):
        flipped(folder / "model.safetensors")
    resume(corpus, cut).refused("every checkpoint", "--from-scratch")


def test_a_file_that_does_not_belong_there_is_told(corpus: Path, run: Path, tmp_path: Path) -> None:
    (run / "checkpoints/step-00000006/tokenizer/tokenizer.model").write_bytes(b"x")
    commands(corpus, run, tmp_path)["synthesize"]().refused("tokenizer/tokenizer.model is not listed")


def test_two_checkpoints_that_changed_their_names_are_told(corpus: Path, whole: Path, cut: Path) -> None:
    folders = checkpoints_of(cut)
    folders[0].rename(cut / "aside")
    folders[1].rename(folders[0])
    (cut / "aside").rename(folders[1])
    call("synthesize", "--checkpoint", cut, "ሰላም", "--out", cut / "x.wav").refused("holds step 2")
    resume(corpus, cut).refused("every checkpoint")


@pytest.mark.parametrize(
    "content", ["step-00000099", "../../other", "/etc", "", "\0", ".", "..", "step-00000002/../step-00000004"]
)
def test_a_pointer_that_leads_nowhere_or_outside_is_not_followed(
    corpus: Path, whole: Path, cut: Path, tmp_path: Path, content: str
) -> None:
    shutil.copytree(whole, tmp_path / "other")
    for pointer in ("latest", "best"):
        (cut / pointer).write_text(content)
    done = call("synthesize", "--checkpoint", cut, "ሰላም", "--out", tmp_path / "x.wav", "--json")
    assert done.code == 0, done.err
    assert "names no checkpoint" in done.err
    if content in (
        "step-00000099",
        "../../other",
    ):  # resuming asks the folders, not the pointers, and mends these
        assert resume(corpus, cut).code == 0
        assert_same_end(whole, cut)
        assert (cut / "latest").read_text() == "step-00000006\n"


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "training.json"])
def test_a_payload_with_mended_checksums_is_refused_and_not_executed(
    corpus: Path, cut: Path, tmp_path: Path, name: str
) -> None:
    import json

    folder = cut / "checkpoints/step-00000004"
    a_pickle(folder / name)
    sums = json.loads((folder / "files.json").read_text())
    sums[name] = described(folder / name)
    (folder / "files.json").write_text(json.dumps(sums))
    resume(corpus, cut).refused("step-00000004")
    if name == "model.safetensors":
        for command in commands(corpus, cut, tmp_path).values():
            command().refused("model.safetensors")
    assert not list(cut.rglob("executed"))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors", ".ckpt"])
@pytest.mark.parametrize(
    ("backend", "key"),
    [
        ("chatterbox", "codec_weights"),
        ("indextts2", "codec_weights"),
        ("vits", "start"),
        ("vits", "start_discriminator"),
    ],
)
def test_foreign_weights_with_a_payload_are_refused_and_not_executed(
    corpus: Path, tmp_path: Path, suffix: str, backend: str, key: str
) -> None:
    weights = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        a_pickle(weights)
    else:
        torch.save({"state_dict": {"x": torch.zeros(1)}, "harm": Payload(tmp_path / "executed")}, weights)
    done = call(
        "train",
        "--data",
        corpus,
        "--out",
        tmp_path / "run",
        "--backend",
        backend,
        "--set",
        f"model.{key}={weights}",
    )
    done.refused()
    assert not (tmp_path / "executed").exists()
