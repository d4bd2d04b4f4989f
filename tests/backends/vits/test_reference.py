"""Our maths against numbers of the published code, and against a small golden file of our own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from command_line import call
from safetensors.torch import load_file, save_file
from tiny_voice import tiny_backend, tiny_examples
from transformers import VitsModel
from vits_bundle import make_bundle, stock_config

from amtts_core.errors import AmttsError
from amtts_vits.backend import VitsBackend
from amtts_vits.discriminator import Discriminator
from amtts_vits.learner import recording_of
from amtts_vits.network import initialize
from amtts_vits.reference import _gradient_norms, compare
from amtts_vits.weights import add_decoder_norm

GOLDEN = Path(__file__).parent / "golden.json"


def test_every_number_of_a_bundle_is_met(bundle: Path) -> None:
    checks = compare(bundle)
    assert len(checks) > 60
    assert [check for check in checks if not check.ok] == []


def test_a_wrong_weight_is_noticed(bundle: Path, tmp_path: Path) -> None:
    for file in bundle.iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    weights = load_file(bundle / "model.safetensors")
    weights["flow.flows.0.conv_post.bias"] += 0.01
    (tmp_path / "model.safetensors").unlink()
    save_file(weights, tmp_path / "model.safetensors")
    failed = {check.name for check in compare(tmp_path) if not check.ok}
    assert {"z_p", "loss_kl", "infer.waveform.0"} <= failed
    assert "m_q" not in failed


@pytest.mark.parametrize(
    ("file", "content"),
    [("losses.json", "{"), ("losses.json", "{}"), ("config.json", "[]"), ("inputs.safetensors", "nothing")],
)
def test_an_unreadable_bundle_is_an_error(bundle: Path, tmp_path: Path, file: str, content: str) -> None:
    for source in bundle.iterdir():
        if source.name != file:
            shutil.copyfile(source, tmp_path / source.name)
    (tmp_path / file).write_text(content)
    with pytest.raises(AmttsError, match="cannot be read"):
        compare(tmp_path)


def keep(file: Path, **changes: object) -> None:
    """Writes a bundle's file again with some entries changed."""
    if file.suffix == ".json":
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}))
    else:
        save_file({**load_file(file), **changes}, file)  # type: ignore[dict-item]


def test_damage_that_leaves_a_bundle_readable_is_told(tmp_path: Path) -> None:
    """Files that load, and do not belong together, or in which something to compare with is missing."""
    whole = make_bundle(tmp_path / "whole")
    inputs, expected = load_file(whole / "inputs.safetensors"), load_file(whole / "expected.safetensors")
    damages: dict[str, tuple[str, dict[str, object]]] = {
        "holds 0 steps, expected 3": ("losses.json", {"official_train_steps": []}),
        "RuntimeError": ("inputs.safetensors", {"spec": inputs["spec"][:, :-3].contiguous()}),
        "IndexError": ("inputs.safetensors", {"input_ids": inputs["input_ids"] + 1000}),
        "no gradient": ("expected.safetensors", {}),
    }
    for number, (told, (file, changes)) in enumerate(damages.items()):
        folder = Path(shutil.copytree(whole, tmp_path / str(number)))
        keep(folder / file, **changes)
        if told == "no gradient":
            save_file({k: v for k, v in expected.items() if not k.startswith("grad.")}, folder / file)
        done = call("validate-e2e", "--backend", "vits", "--reference", folder, "--json")
        assert done.code == 2, told
        assert re.search(told, done.err), done.err


def test_a_gradient_that_is_no_number_fails() -> None:
    mine = {"a": torch.tensor([1.0]), "b": torch.tensor([float("nan")]), "c": torch.tensor([2.0])}
    (check,) = _gradient_norms("x", mine, {"a": 1.0, "b": 1.0, "c": 2.0})
    assert not check.ok
    mine["b"] = torch.tensor([1.0])
    (check,) = _gradient_norms("x", mine, {"a": 1.0, "b": float("nan"), "c": 2.0})
    assert not check.ok
    (check,) = _gradient_norms("x", mine, {"a": 1.0, "b": 1.0, "c": 2.0})
    assert check.ok


def _begin_as_stock(backend: VitsBackend) -> None:
    """The weights that seed 7 draws inside transformers' modules: the numbers were made when the network was those."""
    generator, discriminators = backend.network.generator, backend.network.discriminator
    assert discriminators is not None
    torch.manual_seed(7)
    stock = VitsModel(stock_config(generator.config))
    add_decoder_norm(stock.decoder)
    initialize(stock)
    generator.load_state_dict(stock.state_dict(), strict=True)
    sizes = backend.config.discriminator
    drawn = Discriminator(
        periods=sizes.periods, period_channels=sizes.period_channels, scale_channels=sizes.scale_channels
    )
    discriminators.load_state_dict(drawn.state_dict(), strict=True)


def golden_numbers() -> dict[str, list[float]]:
    """Losses of a seeded backend on fixed utterances, each phase before any step."""
    found = {}
    for mode in ("stochastic", "deterministic"):
        backend = tiny_backend("vits")
        assert isinstance(backend, VitsBackend)
        if mode == "deterministic":
            torch.manual_seed(7)
            settings = backend.config.model_copy(update={"use_stochastic_duration_prediction": False})
            backend = VitsBackend(settings, tokenizer=backend.text_tokenizer)
        _begin_as_stock(backend)
        backend.network.eval()
        with torch.no_grad():
            losses = list(backend.learner().losses(backend.collate(tiny_examples(backend, 2))))
            passed = backend.learner()
            recording = recording_of(backend.collate(tiny_examples(backend, 2)))
            durations = passed.modules["generator"](recording, passed._draws(recording)).durations
        found[mode] = [float(value) for loss in losses for value in (loss.total, *loss.terms.values())]
        found[f"{mode} durations"] = durations.flatten().tolist()
    return found


def test_the_golden_numbers_are_met() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name, numbers in golden_numbers().items():
        assert numbers == pytest.approx(golden[name], rel=1e-4), name


def test_several_speakers_meet_the_numbers_of_transformers_and_the_published_step(tmp_path: Path) -> None:
    """Made here: speakers, 22.05 kHz, latents of another size than the text. As a user types it."""
    folder = make_bundle(tmp_path / "bundle")
    done = call("validate-e2e", "--backend", "vits", "--reference", folder, "--json")
    told = json.loads(done.out)
    assert done.code == 0, told
    names = {check["name"] for check in told["checks"]}
    assert {"grad.embed_speaker.weight", "step2.loss_gen_all", "infer.waveform.2"} <= names
    weights = load_file(folder / "model.safetensors")
    weights["embed_speaker.weight"] = weights["embed_speaker.weight"].roll(
        1, 0
    )  # everyone in another's place
    save_file(weights, folder / "model.safetensors")
    assert call("validate-e2e", "--backend", "vits", "--reference", folder, "--json").code == 1
