"""The audio path against numbers of the original: this folder's bundle, and the shared one where it lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from command_line import call
from safetensors.torch import load_file, save_file

import amtts_chatterbox.s3.estimator as estimator
import amtts_chatterbox.s3.flow as flow
import amtts_chatterbox.s3.front_ends as front_ends
import amtts_chatterbox.s3.tokenizer as tokenizer
import amtts_chatterbox.s3.vocoder as vocoder
from amtts_chatterbox.s3.reference import reference_checks
from amtts_core.errors import AmttsError

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "s3gen"


def failed(folder: Path) -> set[str]:
    return {check.name for check in reference_checks(folder) if not check.ok}


def test_the_golden_bundle_holds() -> None:
    checks = reference_checks(GOLDEN)
    assert [check for check in checks if not check.ok] == []
    names = " ".join(check.name for check in checks)
    for part in (
        "codes",
        "embedding",
        "encoder_out",
        "row1_alone",
        "dxdt_meanflow",
        "source",
        "whole.w3.wav",
        "mel24",
    ):
        assert part in names


@pytest.mark.slow
def test_the_shared_bundle_holds_in_both_sizes() -> None:
    if not SHARED.is_dir():
        pytest.skip("this checkout has no shared fixtures")
    told = call("validate-e2e", "--backend", "chatterbox", "--reference", SHARED, "--json").json()
    assert told["ok"]
    assert {check["name"].split()[0] for check in told["checks"]} >= {"tiny", "full"}


WRONG = {
    "a schedule of even steps": (
        lambda patch: patch.setattr(
            flow, "schedule", lambda steps, cosine=True: torch.linspace(0, 1, steps + 1).tolist()
        ),
        "tiny flow.f1.mel",
    ),
    "time waves the other way round": (
        lambda patch: patch.setattr(
            estimator, "time_waves", lambda t, n, own=estimator.time_waves: own(t, n).roll(n // 2, 1)
        ),
        "tiny estimator.e1.dxdt",
    ),
    "voiced above 0 Hz": (lambda patch: patch.setattr(vocoder, "VOICED_ABOVE", 60.0), "tiny hift.h1.source"),
    "digits not scaled": (
        lambda patch: patch.setattr(tokenizer, "LEVEL_SCALE", 1.0),
        "tiny tokenizer.a16.pre_round",
    ),
    "another rotary base": (
        lambda patch: patch.setattr(tokenizer, "ROTARY_BASE", 9000.0),
        "tiny tokenizer.a16.hidden",
    ),
    "a resampler up to Nyquist": (
        lambda patch: patch.setattr(front_ends, "ROLL_OFF", 1.0),
        "resample_24_16.a24",
    ),
    "segments of 50 frames": (
        lambda patch: patch.setattr("amtts_chatterbox.s3.speaker_encoder.SEGMENT", 10),
        "tiny speaker.a16.embedding",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_maths_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, seen_by = WRONG[name]
    front_ends._sinc_kernel.cache_clear()
    spoil(monkeypatch)
    try:
        assert seen_by in failed(GOLDEN)
    finally:
        front_ends._sinc_kernel.cache_clear()


def test_another_code_is_a_mismatch(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(GOLDEN, tmp_path / "bundle"))
    file = bundle / "tiny" / "outputs.safetensors"
    outputs = load_file(file)
    outputs["tokenizer.long.codes"][400] += 1
    save_file(outputs, file)
    assert failed(bundle) == {"tiny tokenizer.long.codes"}


@pytest.mark.parametrize("harm", ["no config", "no inputs", "no size", "other words", "cut tensors"])
def test_a_broken_bundle_is_one_line(harm: str, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(GOLDEN, tmp_path / "bundle"))
    config = json.loads((bundle / "config.json").read_text())
    if harm == "no config":
        (bundle / "config.json").unlink()
    elif harm == "no inputs":
        (bundle / "tiny" / "inputs.safetensors").unlink()
    elif harm == "cut tensors":
        file = bundle / "tiny" / "outputs.safetensors"
        file.write_bytes(file.read_bytes()[:5000])
    else:
        if harm == "no size":
            del config["tiny"]["estimator"]["num_heads"]
        else:
            config["tiny_cases"]["flow.f1"] = {"steps": "ten"}
        (bundle / "config.json").write_text(json.dumps(config))
    with pytest.raises(AmttsError) as caught:
        reference_checks(bundle)
    assert "bundle" in str(caught.value)
    assert "\n" not in str(caught.value)
