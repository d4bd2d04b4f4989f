"""Our maths against numbers of the published code, and against a small golden file of our own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from command_line import call
from safetensors.torch import load_file, save_file
from tiny_voice import tiny_backend, tiny_examples
from vits_bundle import make_bundle

from amtts_core.errors import AmttsError
from amtts_vits.backend import VitsBackend
from amtts_vits.learner import recording_of
from amtts_vits.reference import compare

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


def golden_numbers() -> dict[str, list[float]]:
    """Losses of a seeded backend on fixed utterances, each phase before any step."""
    found = {}
    for mode in ("stochastic", "deterministic"):
        backend = tiny_backend("vits")
        assert isinstance(backend, VitsBackend)
        if mode == "deterministic":
            torch.manual_seed(7)
            settings = backend.config.model_copy(update={"use_stochastic_duration_prediction": False})
            backend = VitsBackend.build(settings, tokenizer=backend.text_tokenizer)
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
