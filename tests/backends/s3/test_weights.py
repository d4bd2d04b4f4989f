"""Published S3Gen files of all kinds: names both ways, strict sizes, nothing in them is run."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_s3 import SIZES, tiny_weights

from amtts_chatterbox.s3.names import FILTERS, WINDOW, from_published, to_published
from amtts_chatterbox.s3.weights import S3Sizes, load_s3gen, published_shapes, read_s3gen
from amtts_core.errors import AmttsError, CheckpointError

SHAPES = Path(__file__).resolve().parents[4] / "shared" / "reference" / "s3gen_state_dict_shapes.json"


def test_the_published_names_and_sizes_are_ours() -> None:
    if not SHAPES.is_file():
        pytest.skip("this checkout has no shared reference")
    import json

    told = json.loads(SHAPES.read_text())
    plain = {name: entry["shape"] for name, entry in told["s3gen"].items()}
    extra = {name: entry["shape"] for name, entry in told["meanflow_extra"].items()}
    assert published_shapes(S3Sizes()) == plain
    assert published_shapes(S3Sizes(mean_flow=True)) == plain | extra


def test_names_lead_there_and_back() -> None:
    published = tiny_weights(replace(SIZES, mean_flow=True))
    ours = from_published(published)
    again = to_published(ours)
    assert set(again) == set(published)
    for name, tensor in published.items():
        if "parametrizations" not in name:  # a folded weight has many lengths and directions
            assert torch.equal(again[name], tensor), name
    for name, tensor in from_published(again).items():
        assert torch.allclose(tensor, ours[name], atol=1e-6), name


@pytest.mark.parametrize("kind", ["safetensors", "pt", "v3", "meanflow", "half"])
def test_every_published_kind_loads(kind: str, tmp_path: Path) -> None:
    weights = tiny_weights(replace(SIZES, mean_flow=kind == "meanflow"))
    if kind == "v3":
        del weights[FILTERS], weights[WINDOW]
    if kind == "half":
        weights = {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
    file = tmp_path / ("s3gen.pt" if kind == "pt" else "s3gen.safetensors")
    torch.save(weights, file) if kind == "pt" else save_file(weights, file)
    network = load_s3gen(file)
    assert network.flow.mean_flow == (kind == "meanflow")
    assert network.sizes == replace(SIZES, mean_flow=kind == "meanflow")
    assert load_s3gen(tmp_path).state_dict().keys() == network.state_dict().keys()
    assert all(t.dtype in (torch.float32, torch.int64) for t in network.state_dict().values())


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("bomb").write_text, ("boom",))


def _without(name: str) -> Any:
    return lambda weights: weights.pop(name)


def _changed(name: str, change: Any) -> Any:
    return lambda weights: weights.update({name: change(weights[name]).contiguous()})


Q = "flow.decoder.estimator.mid_blocks.0.1.0.attn1.to_q.weight"
FAULTS = {
    "a tensor less": (_without("flow.encoder.after_norm.bias"), "after_norm.bias"),
    "a head less": (_without(Q.replace("to_q", "to_v")), "to_v"),
    "no length": (_without("mel2wav.conv_pre.parametrizations.weight.original0"), "original0"),
    "no direction": (_without("mel2wav.conv_pre.parametrizations.weight.original1"), "original1"),
    "an unknown tensor": (lambda weights: weights.update({"flow.extra": torch.zeros(2)}), "flow.extra"),
    "another size": (_changed("flow.encoder_proj.weight", lambda t: t[:40]), "encoder_proj.weight"),
    "other axes": (_changed("tokenizer.encoder.conv1.weight", lambda t: t[0]), "conv1.weight"),
    "not a number": (_changed("mel2wav.conv_pre.bias", lambda t: t * torch.nan), "conv_pre.bias"),
    "other filters": (_changed(FILTERS, lambda t: t * 2), "_mel_filters"),
    "another network": (lambda weights: weights.clear() or weights.update(tfmr=torch.zeros(3)), "is missing"),
    "a part only": (
        lambda weights: [weights.pop(n) for n in list(weights) if n.startswith("mel2wav")],
        "mel2wav",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_does_not_fit_is_one_line(fault: str, tmp_path: Path) -> None:
    spoil, named = FAULTS[fault]
    weights = tiny_weights()
    spoil(weights)
    file = tmp_path / "s3gen.safetensors"
    save_file(weights, file)
    with pytest.raises(CheckpointError) as caught:
        load_s3gen(file)
    assert named in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no zip", pickle.dumps({"flow": Bomb()}), b"RIFF....WAVEfmt "]
)
@pytest.mark.parametrize("name", ["s3gen.pt", "s3gen.safetensors"])
def test_a_hostile_or_damaged_file_is_one_line(
    content: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AmttsError) as caught:
        read_s3gen(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bomb").exists()


def test_a_list_of_tensors_is_no_network(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "s3gen.pt")
    with pytest.raises(CheckpointError, match="expected tensors by name, found list"):
        read_s3gen(tmp_path / "s3gen.pt")
