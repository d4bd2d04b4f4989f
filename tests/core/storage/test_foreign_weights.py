"""Weights as other trainers leave them; nothing in a file is run."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from amtts_core.errors import CheckpointError
from amtts_core.storage.foreign_weights import load_tensors_only, model_tensors, select_model

LANDMARK = "text_emb.weight"
MODEL = {LANDMARK: torch.arange(6.0).reshape(3, 2), "head.bias": torch.ones(2)}


def prefixed(prefix: str, state: dict[str, torch.Tensor] = MODEL) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        (prefixed("module."), "prefix 'module.' removed"),
        (prefixed("_orig_mod.module."), "prefix '_orig_mod.module.' removed"),
        (prefixed("t3."), "prefix 't3.' removed"),
        ({"epoch": 3, "state_dict": prefixed("model.")}, "taken from 'state_dict', prefix 'model.' removed"),
        ({"model_state_dict": MODEL, "optimizer_state_dict": {"state": {}}}, "taken from 'model_state_dict'"),
        ({"model": [MODEL]}, "taken from 'model'"),
        (
            {"state_dict": {**prefixed("generator."), "discriminator.w": torch.ones(1)}},
            "1 other tensors left out",
        ),
        ({"module": {"model": MODEL}}, "taken from 'module.model'"),  # DeepSpeed
    ],
)
def test_prefixes_and_wrappers(stored: dict[str, Any], note: str) -> None:
    found = select_model(stored, landmark=LANDMARK)

    assert found is not None
    assert set(found.tensors) == set(MODEL)
    assert torch.equal(found.tensors[LANDMARK], MODEL[LANDMARK])
    assert note in ", ".join(found.notes)


@pytest.mark.parametrize(
    "average",
    [
        {"ema_model_state_dict": {**prefixed("ema_model."), "initted": torch.ones(1)}},
        {"ema": MODEL},
        {"state_dict_ema": MODEL},
    ],
)
def test_an_average_is_taken_before_the_last_weights(average: dict[str, Any]) -> None:
    last = {name: tensor + 1 for name, tensor in MODEL.items()}

    found = select_model({"model_state_dict": last, **average}, landmark=LANDMARK)

    assert found is not None
    assert torch.equal(found.tensors[LANDMARK], MODEL[LANDMARK])


class Hidden:
    """Writes a file where it is loaded."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[Any, ...]:
        return (shutil.copyfile, (__file__, str(self.sign)))


def test_objects_of_a_lightning_checkpoint_are_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sign = tmp_path / "ran"
    parameters = {
        "data": Path("x"),
        "space": argparse.Namespace(a=Path("y")),
        "optimizer": functools.partial(max, 1),
        "hidden": Hidden(sign),
    }
    torch.save({"state_dict": prefixed("model."), "hyper_parameters": parameters}, tmp_path / "a.ckpt")

    with caplog.at_level(logging.WARNING):
        found = model_tensors(
            load_tensors_only(tmp_path / "a.ckpt", what="weights"), tmp_path, landmark=LANDMARK
        )

    assert found is not None
    assert torch.equal(found[LANDMARK], MODEL[LANDMARK])
    assert not sign.exists()
    assert "not its objects of" in caplog.text
    assert "shutil.copyfile" in caplog.text


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("true",))


def test_a_command_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": MODEL, "more": Command()}, tmp_path / "a.ckpt")

    with pytest.raises(CheckpointError, match="system.*not run"):
        load_tensors_only(tmp_path / "a.ckpt", what="weights")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("voice.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX graph"),
        ("model.bin", b"GGUF\x03\0\0\0", "a GGUF file"),
        ("model.pt", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("voice.zip", b"PK\x03\x04" + bytes(200), "damaged or cut short"),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(CheckpointError, match=kind):
        load_tensors_only(tmp_path / name, what="weights")


@pytest.mark.parametrize(
    ("tensor", "model"),
    [
        ("model_g.enc_p.emb.weight", "Piper"),
        ("enc_p.emb.weight", "original names"),
        ("gpt.text_embedding.weight", "XTTS"),
        ("base_model.model.layer.lora_A.weight", "LoRA adapters without"),
    ],
)
def test_other_models_are_named(tmp_path: Path, tensor: str, model: str) -> None:
    save_file({tensor: torch.ones(2)}, tmp_path / "a.safetensors")

    with pytest.raises(CheckpointError, match=model):
        model_tensors(
            load_tensors_only(tmp_path / "a.safetensors", what="weights"), tmp_path, landmark=LANDMARK
        )
