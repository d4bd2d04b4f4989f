"""Checkpoints: what is written comes back; damage of any file is told; nothing is loaded in part or executed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_voice import fidel_tokenizer, tiny_backend, tiny_config
from torch import Tensor, nn

from amtts_core.checkpoints.checkpoint import (
    CheckpointInfo,
    checkpoints_of,
    damage,
    find_checkpoint,
    load_strict,
    read_checkpoint,
    write_checkpoint,
    write_pointer,
)
from amtts_core.contract.backend import Backend
from amtts_core.errors import AmttsError, CheckpointError
from amtts_core.storage.checksums import described
from amtts_core.storage.state_tree import flatten, unflatten
from amtts_core.text.normalizer import NormalizerSettings

NAME = "chatterbox-mel"


def describe(backend: Backend, **changes: Any) -> CheckpointInfo:
    config, _ = tiny_config(NAME)
    tokenizer = fidel_tokenizer()
    values: dict[str, Any] = {
        "backend": NAME,
        "backend_config": config.model,
        "sample_rate": backend.spec.sample_rate,
        "normalizer": NormalizerSettings(fold_homophones=False).model_dump(mode="json"),
        "tokenizer_kind": tokenizer.kind,
        "tokenizer_hash": tokenizer.fingerprint(),
        "vocab_size": tokenizer.vocab_size,
        "step": 12,
        "metrics": {"val/total": 0.5},
        **changes,
    }
    return CheckpointInfo(**values)


STATE = {
    "step": 12,
    "best": None,
    "optimizers": {"main": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(4, 5)}}}},
    "random": torch.get_rng_state(),
}


@pytest.fixture(scope="module")
def backend() -> Backend:
    return tiny_backend(NAME)


@pytest.fixture(scope="module")
def sound(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with one complete checkpoint; copy it before harming it."""
    run = tmp_path_factory.mktemp("run")
    write(backend, run / "checkpoints" / "step-00000012")
    return run


def write(backend: Backend, folder: Path, **changes: Any) -> Path:
    step = int(folder.name.removeprefix("step-"))
    write_checkpoint(
        folder,
        describe(backend, **{"step": step, **changes}),
        backend.network.state_dict(),
        tokenizer=backend.text_tokenizer,
        training_state=STATE,
    )
    return folder


def contents(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# ---- what is written comes back ----


def test_everything_comes_back_identical(backend: Backend, sound: Path) -> None:
    found = read_checkpoint(sound)
    assert found.info == describe(backend)
    again = found.load_backend()
    assert not again.network.training
    own = backend.network.state_dict()
    assert set(again.network.state_dict()) == set(own)
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, own[name]), name
        assert tensor.dtype == own[name].dtype
    assert again.text_tokenizer.fingerprint() == backend.text_tokenizer.fingerprint()
    assert again.text_tokenizer.encode("ሰላም ለዓለም።") == backend.text_tokenizer.encode("ሰላም ለዓለም።")
    assert again.config == backend.config
    assert found.normalizer().settings == NormalizerSettings(fold_homophones=False)


def test_the_training_state_comes_back(sound: Path) -> None:
    state = read_checkpoint(sound).training_state()
    assert state["step"] == 12
    assert state["best"] is None
    moment = state["optimizers"]["main"]["state"][0]
    assert torch.equal(moment["exp_avg"], STATE["optimizers"]["main"]["state"][0]["exp_avg"])
    assert torch.equal(state["random"], STATE["random"])


def test_nothing_is_pickled_and_nothing_else_lies_there(sound: Path) -> None:
    assert contents(sound / "checkpoints" / "step-00000012") == [
        "checkpoint.json",
        "files.json",
        "model.safetensors",
        "tokenizer/tokenizer.json",
        "training.json",
        "training.safetensors",
    ]
    for path in sound.rglob("*"):
        if path.is_file():
            head = path.read_bytes()[:2]
            assert head != b"PK", f"{path.name} is a zip, as torch.save writes"
            assert not head.startswith(b"\x80"), f"{path.name} is a pickle"


def test_metrics_that_are_not_finite_do_not_make_it_unreadable(backend: Backend, tmp_path: Path) -> None:
    metrics = {"val/total": float("nan"), "val/mel": float("inf")}
    found = read_checkpoint(write(backend, tmp_path / "step-00000001", metrics=metrics))
    assert np.isnan(found.info.metrics["val/total"])
    assert found.info.metrics["val/mel"] == float("inf")


def test_written_twice_at_one_step_the_newer_stays(backend: Backend, tmp_path: Path) -> None:
    folder = write(backend, tmp_path / "step-00000001", epoch=1)
    write(backend, folder, epoch=2)
    assert read_checkpoint(folder).info.epoch == 2
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]


# ---- damage ----


def removed(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def first_bit_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 0x80
    path.write_bytes(data)


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FILES = (
    "checkpoint.json",
    "files.json",
    "model.safetensors",
    "tokenizer/tokenizer.json",
    "training.json",
    "training.safetensors",
)
HARMS = (removed, emptied, cut, halved, flipped, first_bit_flipped, grown, a_folder)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", FILES)
def test_every_damage_to_every_file_is_an_error(
    sound: Path, tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    run = Path(shutil.copytree(sound, tmp_path / "run"))
    folder = run / "checkpoints" / "step-00000012"
    harm(folder / name)
    assert damage(folder), "noticed without loading"
    for path in (folder, run):
        with pytest.raises(CheckpointError) as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)
        assert "step-00000012" in str(caught.value) or "checkpoint.json" in str(caught.value)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 7))
def test_no_single_bit_of_the_table_of_files_can_flip_unnoticed(sound: Path, where: int, bit: int) -> None:
    folder = sound / "checkpoints" / "step-00000012"
    table = folder / "files.json"
    clean = table.read_bytes()
    data = bytearray(clean)
    data[where % len(data)] ^= 1 << bit
    try:
        table.write_bytes(data)
        with pytest.raises(CheckpointError):
            read_checkpoint(folder)
    finally:
        table.write_bytes(clean)


def test_a_missing_file_is_named(sound: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sound, tmp_path / "run"))
    (run / "checkpoints/step-00000012/model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        read_checkpoint(run)


def test_a_cut_file_is_told_with_both_sizes(sound: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sound, tmp_path / "run"))
    path = run / "checkpoints/step-00000012/model.safetensors"
    size = path.stat().st_size
    cut(path)
    with pytest.raises(CheckpointError, match=f"has {size - 7} bytes, expected {size}"):
        read_checkpoint(run)


# ---- pointers and paths ----


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    """Three checkpoints; the best is the second."""
    run = tmp_path / "run"
    for step in (4, 8, 12):
        shutil.copytree(sound / "checkpoints" / "step-00000012", run / f"checkpoints/step-{step:08d}")
    write_pointer(run, "best", run / "checkpoints/step-00000008")
    write_pointer(run, "latest", run / "checkpoints/step-00000012")
    return run


def test_a_run_means_its_best_or_its_latest(run: Path) -> None:
    assert find_checkpoint(run).name == "step-00000008"
    assert find_checkpoint(run, prefer="latest").name == "step-00000012"
    assert find_checkpoint(run / "checkpoints/step-00000004").name == "step-00000004"
    assert sorted(p.name for p in run.iterdir()) == ["best", "checkpoints", "latest"], (
        "no temporary file stays"
    )


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"step-00000099\n", b"../other\n", b"x" * 5000, b".\n", None]
)
def test_a_useless_best_pointer_is_announced_and_latest_taken(
    run: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    if content is None:
        (run / "best").unlink()
    else:
        (run / "best").write_bytes(content)
    assert find_checkpoint(run).name == "step-00000012"
    assert ("best" in caplog.text) == (content is not None)


def test_without_pointers_the_newest_is_taken(run: Path) -> None:
    for name in ("best", "latest"):
        (run / name).unlink()
    assert find_checkpoint(run).name == "step-00000012"


def test_what_a_killed_run_left_half_written_is_ignored(backend: Backend, run: Path) -> None:
    left = run / "checkpoints/.step-00000016.tmp"
    left.mkdir()
    (left / "checkpoint.json").write_text("{")
    (left / "model.safetensors").write_bytes(b"half")
    (run / ".latest.tmp").write_text("step-0000")
    assert [p.name for p in checkpoints_of(run)] == ["step-00000004", "step-00000008", "step-00000012"]
    assert find_checkpoint(run, prefer="latest").name == "step-00000012"
    write(backend, run / "checkpoints/step-00000016")
    assert not left.exists(), "the next save of that step clears it"
    read_checkpoint(run / "checkpoints/step-00000016")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, "does not exist"),
        (lambda p: p.write_text("x"), "is a file; expected a checkpoint folder"),
        (lambda p: p.mkdir(), "is neither a checkpoint"),
        (lambda p: (p / "checkpoints").mkdir(parents=True), "is neither a checkpoint"),
    ],
)
def test_a_path_that_is_none_says_what_it_is(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(CheckpointError, match=said) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "amtts train" in str(caught.value) or said.startswith("is a file")


# ---- another backend, other sizes, another format ----


def rewritten(sound: Path, tmp_path: Path, *, text: str = "", **changes: Any) -> Path:
    """A sound checkpoint whose checkpoint.json says something else."""
    folder = Path(shutil.copytree(sound / "checkpoints/step-00000012", tmp_path / "step-00000012"))
    values = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(text or json.dumps({**values, **changes}))
    table = json.loads((folder / "files.json").read_text())
    table["checkpoint.json"] = described(folder / "checkpoint.json")
    (folder / "files.json").write_text(json.dumps(table))
    return folder


def test_a_checkpoint_of_a_missing_backend_names_it(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(AmttsError, match="unknown backend 'vitz'"):
        read_checkpoint(rewritten(sound, tmp_path, backend="vitz")).load_backend()


def test_a_checkpoint_of_another_backend_is_told(sound: Path, tmp_path: Path, toy: str) -> None:
    with pytest.raises(CheckpointError, match="its network settings do not fit backend 'toy'"):
        read_checkpoint(rewritten(sound, tmp_path, backend=toy)).load_backend()


def test_other_sizes_are_told_with_both_numbers(sound: Path, tmp_path: Path) -> None:
    config = {**tiny_config(NAME)[0].model, "hidden": 48}
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(rewritten(sound, tmp_path, backend_config=config)).load_backend()
    assert "'text_embedding.weight' has shape [" in str(caught.value)
    assert ", 32]" in str(caught.value)
    assert ", 48]" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extra", [{}, {"something_new": 1}])
def test_a_newer_format_asks_for_an_update(sound: Path, tmp_path: Path, extra: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="has format 2, this amtts reads up to 1.*Update amtts"):
        read_checkpoint(rewritten(sound, tmp_path, format=2, **extra))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backend": None}, "checkpoint.json: backend"),
        ({"odd": 1}, "odd"),
        ({"step": "x"}, "step"),
        ({"text": "{"}, "is not JSON"),
        ({"text": "[]"}, "checkpoint.json"),
    ],
)
def test_an_impossible_description_is_told(
    sound: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(rewritten(sound, tmp_path, **changes))


def test_settings_of_another_normalizer_are_refused(sound: Path, tmp_path: Path) -> None:
    found = read_checkpoint(rewritten(sound, tmp_path, normalizer={"language": "am", "new_switch": True}))
    with pytest.raises(CheckpointError, match="normalizer.*new_switch"):
        found.normalizer()


def test_another_tokenizer_than_it_was_trained_with_is_told(sound: Path, tmp_path: Path) -> None:
    found = read_checkpoint(rewritten(sound, tmp_path, tokenizer_hash="0" * 64))
    with pytest.raises(CheckpointError, match="the weights were trained with 000000000000"):
        found.load_backend()


def test_an_export_cannot_be_resumed(backend: Backend, tmp_path: Path) -> None:
    folder = tmp_path / "step-00000001"
    write_checkpoint(
        folder, describe(backend, step=1), backend.network.state_dict(), tokenizer=backend.text_tokenizer
    )
    with pytest.raises(CheckpointError, match="holds no training state"):
        read_checkpoint(folder).training_state()


class TestLoadStrict:
    def weights(self) -> dict[str, Tensor]:
        return dict(nn.Linear(3, 2).state_dict())

    def test_a_missing_tensor_is_named(self) -> None:
        weights = self.weights()
        del weights["bias"]
        with pytest.raises(CheckpointError, match="backend 'x' lack the tensor 'bias'"):
            load_strict(nn.Linear(3, 2), weights, backend="x")

    def test_an_extra_tensor_is_named(self) -> None:
        with pytest.raises(CheckpointError, match="does not know: 'head'"):
            load_strict(nn.Linear(3, 2), {**self.weights(), "head": torch.zeros(1)}, backend="x")

    def test_another_shape_is_told_with_both(self) -> None:
        with pytest.raises(CheckpointError, match=r"'weight' has shape \[2, 3\].*expects \[2, 4\]"):
            load_strict(nn.Linear(4, 2), self.weights(), backend="x")

    def test_what_fits_is_loaded(self) -> None:
        network, weights = nn.Linear(3, 2), self.weights()
        load_strict(network, weights, backend="x")
        assert torch.equal(network.weight, weights["weight"])


# ---- a full disk ----


@pytest.mark.parametrize("limit", [100, 5_000, 40_000])
def test_a_disk_that_is_full_is_one_line_and_harms_nothing(backend: Backend, run: Path, limit: int) -> None:
    """RLIMIT_FSIZE makes every write beyond `limit` bytes of a file fail, as a full disk does."""
    import resource

    before = contents(run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(CheckpointError, match="could not be written") as caught:
            write(backend, run / "checkpoints/step-00000016")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert contents(run) == before


def test_a_run_folder_below_a_file_is_told(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="could not be written"):
        write(backend, tmp_path / "file" / "step-00000001")
    with pytest.raises(CheckpointError, match="could not be written"):
        write_pointer(tmp_path / "file", "latest", tmp_path / "step-00000001")


# ---- trees of tensors ----

keys = st.one_of(st.text(max_size=4), st.integers(-9, 9), st.sampled_from(["a", "a/b", "b", "0", "1"]))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.integers(0, 10_000).map(lambda seed: torch.tensor(seed)),
    st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(lambda v: torch.tensor(v)),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=20,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(max_examples=200, deadline=None)
@given(trees)
def test_any_tree_comes_back(tree: Any) -> None:
    tensors: dict[str, Tensor] = {}
    flat = json.loads(json.dumps(flatten(tree, tensors)))
    assert same(tree, unflatten(flat, tensors))


def test_keys_that_look_alike_keep_their_own_tensors() -> None:
    tree = {"a": {"b": torch.tensor(1)}, "a/b": torch.tensor(2), 1: torch.tensor(3), "1": torch.tensor(4)}
    tensors: dict[str, Tensor] = {}
    back = unflatten(flatten(tree, tensors), tensors)
    assert [back["a"]["b"], back["a/b"], back[1], back["1"]] == [1, 2, 3, 4]


def test_a_stored_tensor_is_a_copy() -> None:
    tensor, tensors = torch.zeros(2), {}
    flatten([tensor], tensors)
    tensor += 1
    assert next(iter(tensors.values())).tolist() == [0, 0]


@pytest.mark.parametrize("value", [object(), {1.5: 1}, {True: 1}, {(1, 2): 1}, np.zeros(2), {1, 2}])
def test_what_cannot_be_stored_is_a_bug_told_at_once(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        flatten({"x": value}, {})
