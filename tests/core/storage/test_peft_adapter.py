"""Adapters in the format of PEFT, compared with peft itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from amtts_core.errors import CheckpointError
from amtts_core.storage.peft_adapter import base_of, is_adapter, with_adapter, write_adapter


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text_emb = nn.Embedding(5, 4)
        self.q_proj = nn.Linear(4, 6)
        self.o_proj = nn.Linear(6, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.o_proj(self.q_proj(self.text_emb(ids)))
        return out


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"alpha_pattern": {"q_proj": 3}}])
def test_merged_as_peft_merges(tmp_path: Path, options: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    base = Toy()
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    config = peft.LoraConfig(
        r=2, lora_alpha=5, target_modules=["q_proj", "o_proj"], modules_to_save=["text_emb"], **options
    )
    model = peft.get_peft_model(base, config)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter) * parameter.requires_grad
    model.save_pretrained(tmp_path)

    merged = with_adapter(tmp_path, before)

    plain = model.merge_and_unload().state_dict()
    assert set(merged) == set(plain)
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, plain[name])
    assert not torch.equal(merged["text_emb.weight"], before["text_emb.weight"])


def test_what_is_written_is_read_by_peft(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    layers = {"q_proj": (torch.randn(2, 4), torch.randn(6, 2))}
    base = Toy()
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    table = torch.randn(5, 4)
    write_adapter(
        tmp_path,
        layers,
        rank=2,
        alpha=3,
        whole={"text_emb.weight": table},
        base="some/where",
        transposed=False,
    )

    merged = with_adapter(tmp_path, before)
    theirs = peft.PeftModel.from_pretrained(base, str(tmp_path)).merge_and_unload().state_dict()

    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, theirs[name])
    assert torch.equal(merged["text_emb.weight"], table)


def adapter(folder: Path, **config: Any) -> Path:
    folder.mkdir()
    save_file(
        {
            "base_model.model.q_proj.lora_A.weight": torch.ones(2, 4),
            "base_model.model.q_proj.lora_B.weight": torch.ones(6, 2),
        },
        folder / "adapter_model.safetensors",
    )
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, **config})
    )
    return folder


def test_the_base_is_named_or_lies_beside(tmp_path: Path) -> None:
    base = tmp_path / "base.safetensors"
    save_file({"q_proj.weight": torch.ones(6, 4)}, base)
    named = adapter(tmp_path / "a", base_model_name_or_path=str(base))
    beside = adapter(tmp_path / "b", base_model_name_or_path="someone/else")
    (beside / "t3.safetensors").symlink_to(base)

    assert is_adapter(named)
    assert not is_adapter(tmp_path)
    assert base_of(named) == base
    assert load_file(base_of(beside)).keys() == {"q_proj.weight"}


def test_a_base_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="trained on: they are 'someone/else', which is not here"
    ) as caught:
        base_of(adapter(tmp_path / "a", base_model_name_or_path="someone/else"))

    assert f"ln -s /path/to/WEIGHTS.safetensors {tmp_path / 'a'}" in caught.value.remedy


@pytest.mark.parametrize(
    ("config", "base", "what"),
    [
        ({"peft_type": "LOHA"}, (6, 4), "of kind LOHA"),
        ({"use_dora": True}, (6, 4), "LORA with use_dora"),
        ({}, (7, 4), r"gives \[6, 4\] for 'q_proj.weight', its base has \[7, 4\]"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, config: dict[str, Any], base: tuple[int, int], what: str
) -> None:
    folder = adapter(tmp_path / "a", **config)

    with pytest.raises(CheckpointError, match=what):
        with_adapter(folder, {"q_proj.weight": torch.ones(base)})


def test_an_adapter_of_another_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"changes 'q_proj.weight', which its base lacks \(1 tensors"):
        with_adapter(adapter(tmp_path / "a"), {"other": torch.ones(1)})


def test_matrices_of_gpt2_are_turned(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", fan_in_fan_out=True)

    merged = with_adapter(folder, {"q_proj.weight": torch.zeros(4, 6)})

    assert torch.equal(merged["q_proj.weight"], torch.full((4, 6), 2.0))
