"""Published names both ways, published files, and the sizes of the presets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from amtts_chatterbox.t3.config import OFFICIAL_TEXT_ROWS, PRESETS, T3Config
from amtts_chatterbox.t3.network import T3
from amtts_chatterbox.t3.published import (
    DUMMY,
    from_published,
    load_published,
    published_config,
    published_preset,
    read_published,
    to_published,
)
from amtts_core.errors import CheckpointError

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "reference"


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "t3.safetensors")


@pytest.fixture(scope="module")
def config() -> T3Config:
    return published_config(json.loads((GOLDEN / "config.json").read_text()))


def same(network: T3, published: dict[str, torch.Tensor]) -> bool:
    again = to_published(network.state_dict())
    return set(again) == set(published) and all(
        torch.equal(tensor, published[name]) for name, tensor in again.items() if name != DUMMY
    )


def test_names_come_back_bit_by_bit(published: dict[str, torch.Tensor], config: T3Config) -> None:
    network = T3(config, num_text_tokens=40)
    ours = from_published(network, published)
    assert {name: t.shape for name, t in ours.items()} == {
        n: t.shape for n, t in network.state_dict().items()
    }
    network.load_state_dict(ours)
    assert same(network, published)
    assert to_published(ours)[DUMMY].shape == published[DUMMY].shape


@pytest.mark.parametrize("wrapped", [False, True])
def test_both_kinds_of_file_are_read(
    published: dict[str, torch.Tensor], config: T3Config, tmp_path: Path, wrapped: bool
) -> None:
    torch.save({"model": [published]} if wrapped else published, tmp_path / "t3.pt")
    assert same(load_published(tmp_path / "t3.pt", config=config), published)
    assert same(load_published(GOLDEN / "t3.safetensors", config=config), published)


def official_shapes(preset: str) -> dict[str, list[int]]:
    """Published names and sizes that the preset's network has; makes no tensors."""
    with torch.device("meta"):
        config = T3Config.model_validate(PRESETS[preset])
        network = T3(config, num_text_tokens=OFFICIAL_TEXT_ROWS[preset])
        return {name: list(tensor.shape) for name, tensor in to_published(network.state_dict()).items()}


def test_sizes_equal_the_published_ones() -> None:
    width, inner, shapes = 1024, 4096, official_shapes("official")
    layer = "tfmr.layers.29."
    assert len(shapes) == 292
    assert shapes[DUMMY] == [8, width]
    assert shapes["text_emb.weight"] == shapes["text_head.weight"] == [2454, width]
    assert shapes["speech_emb.weight"] == shapes["speech_head.weight"] == [8194, width]
    assert shapes["text_pos_emb.emb.weight"] == [2050, width]
    assert shapes["speech_pos_emb.emb.weight"] == [4100, width]
    assert shapes["cond_enc.spkr_enc.weight"] == [width, 256]
    assert shapes["cond_enc.emotion_adv_fc.weight"] == [width, 1]
    assert shapes["cond_enc.perceiver.pre_attention_query"] == [1, 32, width]
    assert shapes["cond_enc.perceiver.attn.to_k.bias"] == [width]
    for name in "qkvo":
        assert shapes[f"{layer}self_attn.{name}_proj.weight"] == [width, width]
    assert shapes[f"{layer}mlp.up_proj.weight"] == [inner, width]
    assert shapes[f"{layer}mlp.down_proj.weight"] == [width, inner]
    assert official_shapes("official_english")["text_emb.weight"] == [704, width]


def test_every_name_and_size_is_on_the_official_list() -> None:
    path = SHARED / "t3_multilingual_state_dict_shapes.json"
    if not path.is_file():
        pytest.skip("this checkout has no shared reference tables")
    assert official_shapes("official") == json.loads(path.read_text())


@pytest.mark.parametrize(("preset", "millions"), [("official", 536), ("base", 40), ("tiny", 1)])
def test_presets_have_the_sizes_they_claim(preset: str, millions: float) -> None:
    with torch.device("meta"):
        config = T3Config.model_validate(PRESETS[preset])
        network = T3(config, num_text_tokens=OFFICIAL_TEXT_ROWS.get(preset, 400))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.3)


def test_what_a_file_is_stands_in_its_name_and_in_no_size() -> None:
    assert published_preset(Path("t3_mtl23ls_v3.safetensors")) == "official"
    assert published_preset(Path("t3_23lang.safetensors")) == "official"
    assert published_preset(Path("t3_cfg.safetensors")) == "official_english"
    with pytest.raises(CheckpointError, match="t3_cfg"):
        published_preset(Path("my_t3.safetensors"))
    assert T3Config.model_validate(PRESETS["official"]).multilingual
    assert not T3Config.model_validate(PRESETS["official_english"]).multilingual


@pytest.mark.parametrize("name", ["tfmr.h.0.attn.c_attn.weight", "tfmr.wpe.weight"])
def test_gpt2_variants_are_refused(tmp_path: Path, name: str) -> None:
    save_file({name: torch.zeros(2, 2)}, tmp_path / "t3_turbo_v1.safetensors")
    with pytest.raises(CheckpointError, match="GPT-2.*Turbo or Nano.*chatterbox-turbo"):
        read_published(tmp_path / "t3_turbo_v1.safetensors")


def test_a_file_that_does_not_fit_is_told(
    published: dict[str, torch.Tensor], config: T3Config, tmp_path: Path
) -> None:
    def fault(weights: object) -> str:
        torch.save(weights, tmp_path / "t3.pt")
        with pytest.raises(CheckpointError) as caught:
            load_published(tmp_path / "t3.pt", config=config)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    less = {name: t for name, t in published.items() if name != "tfmr.layers.1.mlp.up_proj.weight"}
    assert "tfmr.layers.1.mlp.up_proj.weight" in fault(less)
    assert "left.over" in fault(published | {"left.over": torch.zeros(1)})
    said = fault(published | {"speech_head.weight": published["speech_head.weight"][:-1]})
    assert "speech.head.weight" in said
    assert "55" in said
    assert "56" in said
    assert "list" in fault([1, 2])
    (tmp_path / "t3.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_published(tmp_path / "t3.pt")
    with pytest.raises(CheckpointError, match="does not exist"):
        read_published(tmp_path / "absent.safetensors")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "harmed",))

    torch.save({"model": [Harm()]}, tmp_path / "t3.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_published(tmp_path / "t3.pt")
    assert not (tmp_path / "harmed").exists()
