"""T3 against stored numbers: this folder's bundle (made with LlamaModel), and the official ones where they lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from amtts_chatterbox.t3.reference import reference_checks
from amtts_core.contract.reference_check import ReferenceCheck
from amtts_core.errors import AmttsError

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "fixtures"


def failed(checks: list[ReferenceCheck]) -> list[str]:
    return [check.name for check in checks if not check.ok]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The golden bundle, to be harmed."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "bundle"))


def test_the_golden_bundle_holds() -> None:
    checks = reference_checks(GOLDEN)
    assert failed(checks) == []
    names = {check.name for check in checks}
    assert {"text_logits_tight", "speech_logits_tight", "text_loss", "speech_loss"} <= names
    assert sum(name.startswith("greedy_") for name in names) == 5


@pytest.mark.parametrize("name", ["chatterbox", "chatterbox_audio"])
def test_the_official_bundles_hold(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip("this checkout has no shared fixtures")
    checks = reference_checks(SHARED / name)
    assert len(checks) >= 5
    assert failed(checks) == []


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("llama", "rope_theta", 10100.0),
        ("llama", "rms_norm_eps", 1e-4),
        ("rope_scaling", "factor", 1.0),
        ("rope_scaling", "original_max_position_embeddings", 8192),
        ("perceiver", "num_heads", 2),
    ],
)
def test_wrong_maths_is_seen(copy: Path, section: str, key: str, value: float) -> None:
    settings = json.loads((copy / "config.json").read_text())
    place = settings["llama"]["rope_scaling"] if section == "rope_scaling" else settings[section]
    assert place[key] != value
    place[key] = value
    (copy / "config.json").write_text(json.dumps(settings))
    wrong = failed(reference_checks(copy))
    assert "speech_logits_tight" in wrong
    assert {"text_loss", "speech_loss"} & set(wrong)


def test_another_greedy_token_is_a_mismatch(copy: Path) -> None:
    expected = json.loads((copy / "expected.json").read_text())
    expected["decode"]["single_bos_cfg0"][-1] = 3
    (copy / "expected.json").write_text(json.dumps(expected))
    assert failed(reference_checks(copy)) == ["greedy_single_bos_cfg0"]


def test_not_a_number_never_passes(copy: Path) -> None:
    outputs = load_file(copy / "outputs.safetensors")
    outputs["text_logits_tight"][1, 0, 0] = torch.nan
    save_file(outputs, copy / "outputs.safetensors")
    assert failed(reference_checks(copy)) == ["text_logits_tight", "text_logits_tight_block_packed"]


def _drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(name: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return harm


def _tensor(
    file: str, name: str, change: Callable[[torch.Tensor], torch.Tensor] | None
) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        tensors = load_file(folder / file)
        tensor = tensors.pop(name)
        if change is not None:
            tensors[name] = change(tensor).contiguous()
        save_file(tensors, folder / file)

    return harm


def _json(file: str, *path: str, value: object) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        whole = json.loads((folder / file).read_text())
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        if value is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        (folder / file).write_text(json.dumps(whole))

    return harm


HARMS = {
    "no config": (_drop("config.json"), "config.json"),
    "no weights": (_drop("t3.safetensors"), "t3.safetensors"),
    "no inputs": (_drop("inputs.safetensors"), "inputs.safetensors"),
    "no outputs": (_drop("outputs.safetensors"), "outputs.safetensors"),
    "cut weights": (_cut("t3.safetensors"), "t3.safetensors"),
    "cut json": (_cut("expected.json"), "expected.json"),
    "a list": (lambda folder: (folder / "config.json").write_text("[]") and None, "config.json"),
    "no section": (_json("config.json", "llama", value=None), "llama"),
    "no size": (_json("config.json", "llama", "hidden_size", value=None), "hidden_size"),
    "wrong size": (_json("config.json", "llama", "hidden_size", value=30), "hidden 30"),
    "text for a size": (_json("config.json", "llama", "hidden_size", value="x"), "hidden"),
    "other layers": (_json("config.json", "llama", "num_hidden_layers", value=3), "layers"),
    "grouped keys": (_json("config.json", "llama", "num_key_value_heads", value=1), "num_key_value_heads"),
    "unknown decode": (_json("expected.json", "decode", "triple", value=[1]), "triple"),
    "no losses": (_json("expected.json", "losses", value=None), "losses"),
    "a tensor less": (_tensor("t3.safetensors", "text_head.weight", None), "text_head.weight"),
    "an input less": (_tensor("inputs.safetensors", "speaker_emb", None), "speaker_emb"),
    "other rows": (_tensor("inputs.safetensors", "emotion_adv", lambda t: t[:1]), "emotion_adv"),
    "id too high": (_tensor("inputs.safetensors", "text_tokens", lambda t: t + 40), "text_tokens"),
    "length too high": (_tensor("inputs.safetensors", "text_token_lens", lambda t: t + 9), "text_token_lens"),
    "other logits": (
        _tensor("outputs.safetensors", "text_logits_tight", lambda t: t[..., :-1]),
        "text_logits_tight",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_an_unreadable_bundle_is_told_in_one_line(copy: Path, harm: str) -> None:
    spoil, named = HARMS[harm]
    spoil(copy)
    with pytest.raises(AmttsError) as caught:
        reference_checks(copy)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
